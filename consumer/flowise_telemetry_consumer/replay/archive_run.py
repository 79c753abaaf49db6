"""One replay of an archive: the state that is read, how far it has come, and where that is kept.

A source that has snapshots is read in a fixed order, and a sink that keeps progress stores the next row of each event
in the transaction of its rows, as partition 0 of a topic named after the event. So a replay that was killed goes on
where it stopped. Between others a replay begins again, and the sink knows its events.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import polars as pl

from flowise_telemetry_consumer.clock import Clock
from flowise_telemetry_consumer.errors import SnapshotGoneError
from flowise_telemetry_consumer.replay.archive_mark import FINISHED, PLACE, attempts_of, described, is_finished
from flowise_telemetry_consumer.replay.filters import RecordFilter
from flowise_telemetry_consumer.replay.resume import lock_run
from flowise_telemetry_consumer.sinks.port import Batch, HasSnapshots, KeepsProgress, Readable, Sink, Snapshot
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["Archive", "ArchiveRun", "archive_run_id", "open_archive_run"]

_ID_CHARACTERS = 12

logger = logging.getLogger("flowise_telemetry.consumer")


class Archive(Protocol):
    """A place that is read: a sink, or a folder that ``export`` wrote. It has to be ``Readable``, too."""

    @property
    def url(self) -> str:
        """The address, for messages: its password is masked."""

    def close(self) -> None:
        """Release files and connections."""


@dataclass(frozen=True, slots=True)
class ArchiveRun:
    """A replay under way.

    ``url`` and ``counts`` are those of the archive, ``starts`` how many rows of each event were read
    before. ``source`` names the
    replay in the sink; it is empty where it cannot go on.
    """

    url: str
    archive: Readable
    record_filter: RecordFilter
    snapshot: Snapshot | None
    counts: Mapping[str, int]
    starts: Mapping[str, int] = field(default_factory=dict)
    source: str = ""

    def read(self, event: str, *, batch_rows: int) -> Iterator[tuple[int, pl.DataFrame]]:
        """Yield what is left of an event, each frame with the number of the row after it."""
        row = self.starts.get(event, 0)
        frames = (
            self.archive.read(event, batch_rows=batch_rows)
            if self.snapshot is None
            else self.snapshot.read(event, start_row=row, batch_rows=batch_rows)
        )
        for frame in frames:
            row += frame.height
            yield row, frame

    def batch(self, event: str, frame: pl.DataFrame, next_row: int) -> Batch:
        """Return rows and progress as one transaction."""
        frames = {event: frame} if frame.height else {}
        return Batch(frames, {TopicPartition(event, 0): next_row}, self.source) if self.source else Batch(frames)

    def end(self) -> Batch | None:
        """Return the transaction that ends a replay which read everything; None where there is no progress."""
        return Batch({}, {PLACE: FINISHED}, self.source) if self.source else None


def archive_run_id(archive: Archive, sink: Sink, arguments: object) -> str:
    """Return the id that replays of one archive into one sink share if their arguments are the same."""
    canonical = json.dumps([archive.url, sink.url, arguments], sort_keys=True, default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:_ID_CHARACTERS]


def open_archive_run(
    archive: HasSnapshots, sink: KeepsProgress, newest: ArchiveRun, run_id: str, *, restart: bool, clock: Clock
) -> ArchiveRun:
    """Return the latest run of an id if it is unfinished and its state is still there, else ``newest`` as a new one.

    It is locked until the sink is closed, which has to be prepared. Raises ``SinkInUseError`` if another process runs
    it.
    """
    lock_run(sink, f"archive/{run_id}", clock)
    attempts = attempts_of(sink, run_id)
    latest = max(attempts, default=0)
    if latest and not restart and not is_finished(attempts[latest]):
        stored = described(attempts[latest])
        # "2d ago" is that of the first start.
        timed = replace(newest.record_filter, from_ms=stored.get("from_ms"), to_ms=stored.get("to_ms"))
        try:
            state = archive.snapshot(stored["snapshot"])
            before = replace(newest, record_filter=timed, snapshot=state, counts=state.counts())
            return _claimed(sink, before, attempts[latest].source)
        except SnapshotGoneError as error:
            logger.warning("%s; the replay begins again", error.message)
    return _claimed(sink, newest, f"archive/{run_id}/{latest + 1}")


def _claimed(sink: KeepsProgress, run: ArchiveRun, source: str) -> ArchiveRun:
    stored = {
        "archive": run.url,
        "snapshot": "" if run.snapshot is None else run.snapshot.name,
        "from_ms": run.record_filter.from_ms,
        "to_ms": run.record_filter.to_ms,
    }
    places = [PLACE, *(TopicPartition(event, 0) for event in run.counts)]
    offsets = sink.claim(source, places, description=json.dumps(stored))
    starts = {partition.topic: offset for partition, offset in offsets.items() if partition != PLACE}
    return replace(run, starts=starts, source=source)
