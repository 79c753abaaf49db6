"""Replay from an archive: a sink outlives the topic's retention, and a file may have been written by anyone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

import polars as pl

from flowise_telemetry_consumer.archives.opening import Source, archive_of
from flowise_telemetry_consumer.archives.portion import Archive, Portion
from flowise_telemetry_consumer.archives.rejects import OnRejects
from flowise_telemetry_consumer.errors import IncompleteReadError, RowRefusedError, SinkError
from flowise_telemetry_consumer.replay.archive_result import ArchiveEvent, ArchiveResult
from flowise_telemetry_consumer.replay.filters import RecordFilter
from flowise_telemetry_consumer.retry import DEFAULT_CONTROL, RunControl
from flowise_telemetry_consumer.sinks.parts import PartedWrite, WriteSize, write_all
from flowise_telemetry_consumer.sinks.port import Batch, Sink
from flowise_telemetry_schemas import Catalog

__all__ = ["advance_archive", "replay_archive"]


def replay_archive(
    source: Source,
    sink: Sink,
    catalog: Catalog,
    record_filter: RecordFilter | None = None,
    *,
    control: RunControl = DEFAULT_CONTROL,
    on_report: Callable[[ArchiveResult], None] | None = None,
    on_rejects: OnRejects | None = None,
) -> ArchiveResult:
    """Write what one sink holds into another. The filter's times are those of the events (``occurred_at``).

    Rows are checked as records of a topic are. What breaks a rule is counted, given to ``on_rejects`` and not written.

    A killed one begins again: rows come in no fixed order, and the sink recognises its events. An outage of the sink is
    waited out, for ``control.no_progress_seconds`` at most. Raises ``SinkError`` if source or sink refuse.
    """
    archive = archive_of(source, catalog)
    sink.prepare(list(catalog))
    result = advance_archive(
        archive, sink, catalog, record_filter, control=control, on_report=on_report, on_rejects=on_rejects
    )
    if not (result.events or result.rejects or result.incomplete):
        raise _no_events(archive)
    return result


def advance_archive(
    archive: Archive,
    sink: Sink,
    catalog: Catalog,
    record_filter: RecordFilter | None = None,
    *,
    progress_source: str = "",
    control: RunControl = DEFAULT_CONTROL,
    on_report: Callable[[ArchiveResult], None] | None = None,
    on_rejects: OnRejects | None = None,
) -> ArchiveResult:
    """Write what is left of an archive into a prepared sink; as ``replay_archive``.

    ``progress_source`` is the source for which the caller claimed the archive's offsets in the sink.
    """
    record_filter = record_filter or RecordFilter()
    counts = archive.counts()
    if counts and not any(counts.values()):
        raise _no_events(archive)
    known = [event for event in sorted(counts) if not record_filter.events or event in record_filter.events]
    result = ArchiveResult({event: ArchiveEvent(counts[event]) for event in known})
    wanted = [event for event in known if counts[event]] if counts else list(record_filter.events or catalog.names)
    size = WriteSize(control.clock.monotonic)
    try:
        for portion in archive.portions(wanted):
            if on_rejects is not None and portion.rejects:
                on_rejects(portion.rejects)
            frames = _wanted(portion, catalog, record_filter)
            offsets = portion.offsets if progress_source else {}
            batch = Batch(frames=frames, offsets=offsets, source=progress_source)
            write = PartedWrite(sink, batch, size)
            if frames or offsets:
                write_all(write, partial(_step, url=archive.url), control)
            result.add_read(portion)
            _account(result, portion, frames, write)
            if on_report is not None:
                on_report(result)
            if control.stopped:
                result.incomplete = "stopped before the end"
                return result
    except IncompleteReadError as error:  # an outage, or a damaged file
        result.incomplete = error.message
    return result


def _no_events(archive: Archive) -> SinkError:
    return SinkError(f"{archive.url} holds no events: name the place that a consumer wrote to")


def _step(write: PartedWrite, *, url: str) -> None:
    """Do a step of a write, and name the event of a row that the sink refuses by a rule of others."""
    try:
        write.step()
    except RowRefusedError as error:
        if not write.next_part:
            raise
        ((_, row),) = write.next_part.items()
        raise RowRefusedError(f"{error.message}; event {row['event_id'][0]} of {url}") from error


def _wanted(portion: Portion, catalog: Catalog, record_filter: RecordFilter) -> dict[str, pl.DataFrame]:
    within = record_filter.within_time(pl.col("occurred_at"))
    return record_filter.filter_rows({event: frame.filter(within) for event, frame in portion.frames.items()}, catalog)


def _account(result: ArchiveResult, portion: Portion, frames: dict[str, pl.DataFrame], write: PartedWrite) -> None:
    written, duplicates, erased = write.counts
    kept = Counter({event: frame.height for event, frame in frames.items()})
    for event, frame in portion.frames.items():
        done = result.events[event]
        done.written += written[event]
        done.already_there += duplicates[event]
        done.erased += erased[event]
        done.filtered += frame.height - kept[event]
