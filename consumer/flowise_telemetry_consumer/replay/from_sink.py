"""Replay from one sink into another: an archive outlives the topic's retention."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import polars as pl

from flowise_telemetry_consumer.errors import OutageError, SinkError, SnapshotGoneError
from flowise_telemetry_consumer.replay.archive_run import Archive, ArchiveRun, archive_run_id, open_archive_run
from flowise_telemetry_consumer.replay.filters import RecordFilter
from flowise_telemetry_consumer.retry import DEFAULT_CONTROL, RunControl, retry_until
from flowise_telemetry_consumer.sinks.port import HasSnapshots, KeepsProgress, Readable, Sink
from flowise_telemetry_schemas import Catalog

__all__ = ["ArchiveEvent", "ArchiveResult", "replay_archive"]

_BATCH_ROWS = 20_000
_MAX_BEGINNINGS = 3

logger = logging.getLogger("flowise_telemetry.consumer")


@dataclass(slots=True)
class ArchiveEvent:
    """The accounts of the ``total`` rows of one event; ``read`` = ``written`` + ``already_there`` + ``filtered``.

    ``before`` were read by an earlier process, which this one resumes.
    """

    total: int
    before: int = 0
    read: int = 0
    written: int = 0
    already_there: int = 0
    filtered: int = 0

    @property
    def adds_up(self) -> bool:
        """Return whether every row read is accounted for."""
        return self.read == self.written + self.already_there + self.filtered


@dataclass(slots=True)
class ArchiveResult:
    """The outcome by event. ``incomplete`` says why not all rows were read; None if they were."""

    events: dict[str, ArchiveEvent] = field(default_factory=dict)
    incomplete: str | None = None

    @property
    def total(self) -> int:
        """Count the rows that the source had at the start."""
        return sum(event.total for event in self.events.values())

    @property
    def read(self) -> int:
        """Count the rows that were read and, if wanted, written."""
        return sum(event.read for event in self.events.values())

    @property
    def before(self) -> int:
        """Count the rows that were read before this process resumed."""
        return sum(event.before for event in self.events.values())

    @property
    def written(self) -> int:
        """Count the rows that the sink did not have."""
        return sum(event.written for event in self.events.values())

    def discrepancies(self) -> list[str]:
        """Return one line for each event whose rows do not add up, or are fewer than at the start."""
        lines = [f"{name}: {event}" for name, event in self.events.items() if not event.adds_up]
        if self.incomplete is None:
            lines += [
                f"{name}: {event.before + event.read} rows read of {event.total}"
                for name, event in self.events.items()
                if event.before + event.read < event.total
            ]
        return lines


def replay_archive(
    source: Archive,
    sink: Sink,
    catalog: Catalog,
    record_filter: RecordFilter | None = None,
    *,
    run_id: str | None = None,
    restart: bool = False,
    control: RunControl = DEFAULT_CONTROL,
    on_report: Callable[[ArchiveResult], None] | None = None,
) -> ArchiveResult:
    """Write what one sink, or a folder of exported files, holds into a sink.

    The filter's times are those of the events (``occurred_at``). From a source that has snapshots (Delta, an export)
    into a sink that keeps progress, a replay that was killed resumes when it is started with the same arguments, or
    with its ``run_id``, and reads the state of its first start. Where that is gone, with ``restart``, and between
    others it begins again: the sink recognises its events. An outage of the sink is waited out, for
    ``control.no_progress_seconds`` at most. Raises ``SinkError`` if source or sink refuse.
    """
    if not isinstance(source, Readable):
        raise SinkError(f"{source.url} cannot be read back: name the place that a consumer wrote to")
    record_filter = record_filter or RecordFilter()
    run_id = run_id or archive_run_id(source, sink, dataclasses.asdict(record_filter))
    for _ in range(_MAX_BEGINNINGS):
        newest = source.snapshot() if isinstance(source, HasSnapshots) else None
        counts = (newest or source).counts()
        if not any(counts.values()):
            raise SinkError(f"{source.url} holds no events: name the place that a consumer wrote to")
        sink.prepare(list(catalog))
        run = ArchiveRun(source.url, source, record_filter, newest, counts)
        if isinstance(source, HasSnapshots) and newest is not None and isinstance(sink, KeepsProgress):
            run = open_archive_run(source, sink, run, run_id, restart=restart, clock=control.clock)
        try:
            return _advance(run, sink, catalog, control, on_report)
        except SnapshotGoneError as error:
            logger.warning("%s; the replay begins again", error.message)
            restart = True
    raise SinkError(f"{source.url}: files are removed while it is read, again and again: stop what removes them")


def _advance(
    run: ArchiveRun,
    sink: Sink,
    catalog: Catalog,
    control: RunControl,
    on_report: Callable[[ArchiveResult], None] | None,
) -> ArchiveResult:
    record_filter = run.record_filter
    wanted = [event for event in sorted(run.counts) if not record_filter.events or event in record_filter.events]
    result = ArchiveResult({event: ArchiveEvent(run.counts[event], run.starts.get(event, 0)) for event in wanted})
    try:
        for event in wanted:
            done = result.events[event]
            for next_row, frame in run.read(event, batch_rows=_BATCH_ROWS) if done.total else ():
                kept = _wanted(frame, event, catalog, record_filter)
                batch = run.batch(event, kept, next_row)
                if batch.frames or batch.offsets:
                    put = retry_until(partial(sink.write, batch), control, what="the sink")
                    done.written += put.written.get(event, 0)
                    done.already_there += put.duplicates.get(event, 0)
                done.read += frame.height
                done.filtered += frame.height - kept.height
                if on_report is not None:
                    on_report(result)
                if control.stopped:
                    result.incomplete = "stopped before the end"
                    return result
        if (end := run.end()) is not None:
            retry_until(partial(sink.write, end), control, what="the sink")
    except OutageError as error:
        result.incomplete = error.message
    return result


def _wanted(frame: pl.DataFrame, event: str, catalog: Catalog, record_filter: RecordFilter) -> pl.DataFrame:
    within = frame.filter(record_filter.within_time(pl.col("occurred_at")))
    return record_filter.filter_rows({event: within}, catalog).get(event, frame.clear())
