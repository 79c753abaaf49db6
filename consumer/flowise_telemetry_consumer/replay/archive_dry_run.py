"""The dry run of a replay from an archive or an import: read and check everything, write nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from flowise_telemetry_consumer.archives.portion import Archive
from flowise_telemetry_consumer.archives.rejects import OnRejects
from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.replay.archive_result import ArchiveResult
from flowise_telemetry_consumer.replay.event_hashes import EventHashes, erasures_of
from flowise_telemetry_consumer.replay.filters import RecordFilter
from flowise_telemetry_consumer.replay.from_sink import advance_archive
from flowise_telemetry_consumer.retry import DEFAULT_CONTROL, RunControl
from flowise_telemetry_consumer.sinks.erasures import Erasures
from flowise_telemetry_consumer.sinks.port import Batch, Readable, Sink, WriteResult
from flowise_telemetry_schemas import Catalog, EventSchema

__all__ = ["ArchivePlan", "plan_archive"]


@dataclass(frozen=True, slots=True)
class ArchivePlan:
    """The work that a replay from an archive would do.

    In ``result``, ``written`` counts what would be written, and ``already_there`` what the sink has or occurs twice, by
    a hash of the ids. ``sink_error`` says why the sink could not be read, and then counts as empty.
    """

    result: ArchiveResult
    sink_error: str | None = None


class _Counted:
    """A sink that keeps nothing but hashes."""

    url = "nowhere:"

    def __init__(self, erasures: Erasures) -> None:
        self.hashes = EventHashes()
        self._erasures = erasures

    def prepare(self, schemas: Iterable[EventSchema]) -> None:
        """Do nothing."""

    def write(self, batch: Batch) -> WriteResult:
        """Count the events."""
        kept, erased = self._erasures.keep(batch.frames)
        for event, frame in kept.items():
            self.hashes.add(event, frame["event_id"])
        return WriteResult.of(batch, {event: frame.height for event, frame in kept.items()}, erased)

    def close(self) -> None:
        """Do nothing."""


def plan_archive(
    archive: Archive,
    sink: Sink | None,
    catalog: Catalog,
    record_filter: RecordFilter | None = None,
    *,
    control: RunControl = DEFAULT_CONTROL,
    on_report: Callable[[ArchiveResult], None] | None = None,
    on_rejects: OnRejects | None = None,
) -> ArchivePlan:
    """Read all of an archive and return what a replay into ``sink`` would do; None is a topic, which has nothing.

    Keeps eight bytes for each event in memory, and leaves the sink uncreated. Raises ``SinkError`` for the archive.
    """
    counted = _Counted(erasures_of(sink))
    result = advance_archive(
        archive, counted, catalog, record_filter, control=control, on_report=on_report, on_rejects=on_rejects
    )
    known = counted.hashes.repeated() if sink is not None else Counter()
    sink_error: str | None = None
    if isinstance(sink, Readable):
        try:
            known += counted.hashes.found_in(sink)
        except SinkError as error:
            sink_error = error.message
    for event, count in known.items():
        result.events[event].written -= count
        result.events[event].already_there += count
    return ArchivePlan(result, sink_error)
