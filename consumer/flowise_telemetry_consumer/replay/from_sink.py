"""Replay from one sink into another: an archive outlives the topic's retention."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import polars as pl

from flowise_telemetry_consumer.errors import OutageError, SinkError
from flowise_telemetry_consumer.replay.filters import RecordFilter
from flowise_telemetry_consumer.retry import DEFAULT_CONTROL, RunControl, retry_until
from flowise_telemetry_consumer.sinks.port import Batch, Readable, Sink
from flowise_telemetry_schemas import Catalog

__all__ = ["ArchiveEvent", "ArchiveResult", "replay_archive"]

_BATCH_ROWS = 20_000


@dataclass(slots=True)
class ArchiveEvent:
    """The accounts of the ``total`` rows of one event; ``read`` = ``written`` + ``already_there`` + ``filtered``."""

    total: int
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
    def written(self) -> int:
        """Count the rows that the sink did not have."""
        return sum(event.written for event in self.events.values())

    def discrepancies(self) -> list[str]:
        """Return one line for each event whose rows do not add up, or are fewer than at the start."""
        lines = [f"{name}: {event}" for name, event in self.events.items() if not event.adds_up]
        if self.incomplete is None:
            lines += [
                f"{name}: {event.read} rows read of {event.total}"
                for name, event in self.events.items()
                if event.read < event.total
            ]
        return lines


def replay_archive(
    source: Sink,
    sink: Sink,
    catalog: Catalog,
    record_filter: RecordFilter | None = None,
    *,
    control: RunControl = DEFAULT_CONTROL,
    on_report: Callable[[ArchiveResult], None] | None = None,
) -> ArchiveResult:
    """Write what one sink holds into another. The filter's times are those of the events (``occurred_at``).

    A killed one begins again: rows come in no fixed order, and the sink recognises its events. An outage of the sink is
    waited out, for ``control.no_progress_seconds`` at most. Raises ``SinkError`` if source or sink refuse.
    """
    record_filter = record_filter or RecordFilter()
    if not isinstance(source, Readable):
        raise SinkError(f"{source.url} cannot be read back: name the place that a consumer wrote to")
    counts = source.counts()
    wanted = [event for event in sorted(counts) if not record_filter.events or event in record_filter.events]
    result = ArchiveResult({event: ArchiveEvent(counts[event]) for event in wanted})
    if not any(counts.values()):
        raise SinkError(f"{source.url} holds no events: name the place that a consumer wrote to")
    sink.prepare(list(catalog))
    try:
        for event in wanted:
            done = result.events[event]
            for frame in source.read(event, batch_rows=_BATCH_ROWS) if done.total else ():
                kept = _wanted(frame, event, catalog, record_filter)
                if kept.height:
                    batch = Batch(frames={event: kept})
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
    except OutageError as error:
        result.incomplete = error.message
    return result


def _wanted(frame: pl.DataFrame, event: str, catalog: Catalog, record_filter: RecordFilter) -> pl.DataFrame:
    within = frame.filter(record_filter.within_time(pl.col("occurred_at")))
    return record_filter.filter_rows({event: within}, catalog).get(event, frame.clear())
