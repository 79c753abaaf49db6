"""Replay from an archive that has snapshots (Delta, an export): one that was killed goes on where it stopped.

Its rows have a fixed order, and a sink that keeps progress stores the next row of each event in the transaction of its
rows, as partition 0 of a topic named after the event.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from flowise_telemetry_consumer.archives.opening import Source
from flowise_telemetry_consumer.archives.portion import PORTION_ROWS, Portion, checked_portion
from flowise_telemetry_consumer.archives.rejects import OnRejects
from flowise_telemetry_consumer.clock import Clock
from flowise_telemetry_consumer.errors import OutageError, SinkError, SnapshotGoneError
from flowise_telemetry_consumer.replay.archive_mark import FINISHED, PLACE, attempts_of, described, is_finished
from flowise_telemetry_consumer.replay.archive_result import ArchiveResult
from flowise_telemetry_consumer.replay.filters import RecordFilter
from flowise_telemetry_consumer.replay.from_sink import advance_archive, replay_archive
from flowise_telemetry_consumer.replay.resume import acquire_lock
from flowise_telemetry_consumer.retry import DEFAULT_CONTROL, RunControl, retry_until
from flowise_telemetry_consumer.sinks.port import Batch, HasSnapshots, KeepsProgress, Sink, Snapshot
from flowise_telemetry_consumer.sinks.rows import newest
from flowise_telemetry_schemas import Catalog
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["archive_run_id", "replay_source"]

_ID_CHARACTERS = 12
_MAX_BEGINNINGS = 3

logger = logging.getLogger("flowise_telemetry.consumer")


@dataclass(frozen=True, slots=True)
class _Run:
    """A run under way: the state that is read, and how many rows of each event were read before.

    ``source`` names the run in the sink; it is empty where that keeps no progress.
    """

    state: Snapshot
    record_filter: RecordFilter
    source: str = ""
    starts: Mapping[str, int] = field(default_factory=dict)


class _RestOfSnapshot:
    """An ``Archive``: what is left of a state."""

    def __init__(self, url: str, run: _Run, catalog: Catalog) -> None:
        self.url = url
        self._run = run
        self._schemas = newest(catalog)

    def counts(self) -> Mapping[str, int]:
        """Return the number of rows that are left, by event."""
        return {event: count - self._run.starts.get(event, 0) for event, count in self._run.state.counts().items()}

    def portions(self, events: Sequence[str]) -> Iterator[Portion]:
        """Yield the rows of one event after the other, each with the number of the row after it."""
        for event in events:
            row = self._run.starts.get(event, 0)
            for frame in self._run.state.read(event, start_row=row, batch_rows=PORTION_ROWS):
                portion = checked_portion(self._schemas[event], frame, self.url, first=row + 1)
                row += frame.height
                offsets = {TopicPartition(event, 0): row} if self._run.source else {}
                yield replace(portion, offsets=offsets)


def archive_run_id(source: Source, sink: Sink, arguments: object) -> str:
    """Return the id that replays of one archive into one sink share if their arguments are the same."""
    canonical = json.dumps([source.url, sink.url, arguments], sort_keys=True, default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:_ID_CHARACTERS]


def replay_source(
    source: Source,
    sink: Sink,
    catalog: Catalog,
    record_filter: RecordFilter | None = None,
    *,
    run_id: str | None = None,
    restart: bool = False,
    control: RunControl = DEFAULT_CONTROL,
    on_begin: Callable[[Mapping[str, int]], None] = lambda starts: None,
    on_report: Callable[[ArchiveResult], None] | None = None,
    on_rejects: OnRejects | None = None,
) -> ArchiveResult:
    """Write what an archive holds into a sink, as ``replay_archive``; resume where that is possible.

    From a source that has snapshots into a sink that keeps progress, a replay that was killed resumes when it is
    started with the same arguments, or with its ``run_id``, and reads the state of its first start. Where that is gone,
    with ``restart``, and between others it begins again: the sink recognises its events. ``on_begin`` is called before
    anything is read, with the number of rows of each event that were read before.
    """
    record_filter = record_filter or RecordFilter()
    if not isinstance(source, HasSnapshots):
        on_begin({})
        return replay_archive(
            source, sink, catalog, record_filter, control=control, on_report=on_report, on_rejects=on_rejects
        )
    run_id = run_id or archive_run_id(source, sink, dataclasses.asdict(record_filter))
    for _ in range(_MAX_BEGINNINGS):
        state = source.snapshot()
        if not any(state.counts().values()):
            raise SinkError(f"{source.url} holds no events: name the place that a consumer wrote to")
        sink.prepare(list(catalog))
        run = _Run(state, record_filter)
        if isinstance(sink, KeepsProgress):
            run = _open(source, sink, run, run_id, url=source.url, restart=restart, clock=control.clock)
        on_begin(run.starts)
        rest = _RestOfSnapshot(source.url, run, catalog)
        try:
            result = ArchiveResult()
            if any(rest.counts().values()):
                result = advance_archive(
                    rest,
                    sink,
                    catalog,
                    run.record_filter,
                    progress_source=run.source,
                    control=control,
                    on_report=on_report,
                    on_rejects=on_rejects,
                )
        except SnapshotGoneError as error:
            logger.warning("%s; the replay begins again", error.message)
            restart = True
        else:
            result.before = sum(run.starts.values())
            return _ended(run, sink, result, control)
    raise SinkError(f"{source.url}: files are removed while it is read, again and again: stop what removes them")


def _ended(run: _Run, sink: Sink, result: ArchiveResult, control: RunControl) -> ArchiveResult:
    """Record that a run which read everything has ended."""
    if run.source and result.incomplete is None:
        end = Batch({}, {PLACE: FINISHED}, run.source)
        try:
            retry_until(partial(sink.write, end), control, what="the sink")
        except OutageError as error:
            result.incomplete = error.message
    return result


def _open(
    source: HasSnapshots, sink: KeepsProgress, anew: _Run, run_id: str, *, url: str, restart: bool, clock: Clock
) -> _Run:
    """Return the latest run of an id if it is unfinished and its state is still there, else a new one.

    It is locked until the sink is closed. Raises ``SinkInUseError`` if another process runs it.
    """
    acquire_lock(sink, f"archive/{run_id}", clock)
    attempts = attempts_of(sink, run_id)
    latest = max(attempts, default=0)
    if latest and not restart and not is_finished(attempts[latest]):
        stored = described(attempts[latest])
        # "2d ago" is that of the first start.
        timed = replace(anew.record_filter, from_ms=stored.get("from_ms"), to_ms=stored.get("to_ms"))
        try:
            return _claimed(sink, _Run(source.snapshot(stored["snapshot"]), timed, attempts[latest].source), url)
        except SnapshotGoneError as error:
            logger.warning("%s; the replay begins again", error.message)
    return _claimed(sink, replace(anew, source=f"archive/{run_id}/{latest + 1}"), url)


def _claimed(sink: KeepsProgress, run: _Run, url: str) -> _Run:
    times = {"from_ms": run.record_filter.from_ms, "to_ms": run.record_filter.to_ms}
    description = json.dumps({"archive": url, "snapshot": run.state.name, **times})
    places = [PLACE, *(TopicPartition(event, 0) for event in run.state.counts())]
    offsets = sink.claim(run.source, places, description=description)
    return replace(run, starts={place.topic: offset for place, offset in offsets.items() if place != PLACE})
