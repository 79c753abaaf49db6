"""The loop of a replay: reads stretches, decodes and selects, writes rows and progress in one transaction."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from flowise_telemetry_consumer.clock import Clock, SystemClock
from flowise_telemetry_consumer.dead_letter import DeadLetter
from flowise_telemetry_consumer.decoding.decoder import Decoder
from flowise_telemetry_consumer.errors import IncompleteReadError
from flowise_telemetry_consumer.reading.batch import RECORD_OVERHEAD_BYTES, BatchLimits
from flowise_telemetry_consumer.reading.range_reader import POLL_RECORDS, OffsetRange, OffsetSpan, RangeReader
from flowise_telemetry_consumer.replay.checkpoints import ReplayCheckpoint, keep_missing, open_run
from flowise_telemetry_consumer.replay.report import OnReplayProgress, PartitionResult, ReplayResult, merged_ranges
from flowise_telemetry_consumer.replay.request import ReplayRequest, Shard
from flowise_telemetry_consumer.retry import OutageError, retry_until
from flowise_telemetry_consumer.sinks.port import Batch, KeepsProgress, Sink
from flowise_telemetry_schemas import Catalog
from flowise_telemetry_transport.ports import RecordReader
from flowise_telemetry_transport.topics import EVENTS_TOPIC
from flowise_telemetry_transport.types import Record, TopicPartition

__all__ = ["REPLAY_BATCH", "advance_run", "replay"]

REPLAY_BATCH = BatchLimits(rows=20_000, size_bytes=64 * 1_048_576, age_seconds=2.0)
"""Larger than the service's batches: nobody waits for the newest event; what a kill costs is read again."""

_T = TypeVar("_T")


def replay(
    reader: RecordReader,
    sink: Sink,
    catalog: Catalog,
    what: ReplayRequest | str = EVENTS_TOPIC,
    *,
    shard: Shard | None = None,
    run_id: str | None = None,
    restart: bool = False,
    batch: BatchLimits = REPLAY_BATCH,
    no_progress_seconds: float = 60.0,
    stop: threading.Event | None = None,
    on_progress: OnReplayProgress | None = None,
    clock: Clock | None = None,
) -> ReplayResult:
    """Writes a range of a topic (a name: all that it holds now) into a sink, and says what became of each offset.

    ``reader`` is one without a group. Progress is kept in the sink's own transactions: a replay that was killed goes on
    when it is started with the same arguments (or its ``run_id``), up to the end offsets of its first start. One that
    was finished reads everything again, up to the end offsets of now; so does any with ``restart``. What the sink has
    already stays as it is. Dead letters are counted and not written anywhere: the live consumer did that.

    An outage of sink or broker is waited for; after ``no_progress_seconds`` without any progress, or when ``stop`` is
    set, the result is incomplete. Raises ``UnknownTopicError``, ``TopicChangedError``, ``SinkInUseError`` where another
    process has the same replay, ``SinkError``, ``ConfigurationError`` for a range that is none.
    """
    clock = clock or SystemClock()
    arguments = ReplayRequest(topic=what) if isinstance(what, str) else what
    sink.prepare(list(catalog))
    run = open_run(reader, sink, arguments, clock=clock, shard=shard, run_id=run_id, restart=restart)
    return advance_run(
        reader,
        sink,
        catalog,
        run,
        batch=batch,
        no_progress_seconds=no_progress_seconds,
        stop=stop,
        on_progress=on_progress,
        clock=clock,
    )


def advance_run(
    reader: RecordReader,
    sink: Sink,
    catalog: Catalog,
    run: ReplayCheckpoint,
    *,
    partitions: Collection[TopicPartition] | None = None,
    batch: BatchLimits = REPLAY_BATCH,
    no_progress_seconds: float = 60.0,
    stop: threading.Event | None = None,
    on_progress: OnReplayProgress | None = None,
    clock: Clock | None = None,
) -> ReplayResult:
    """Reads what is left of a run, or of some of its partitions. The sink is prepared; otherwise as ``replay``."""
    clock = clock or SystemClock()
    mine = sorted(run.span.starts) if partitions is None else sorted(partitions)
    written: dict[TopicPartition, int] = {}
    if isinstance(sink, KeepsProgress):
        written.update(sink.claim(run.source, mine, description=run.description()))
    positions = {tp: max(run.span.starts[tp], written.get(tp, 0)) for tp in mine}
    result = ReplayResult(
        run.span.topic,
        {
            tp: PartitionResult(
                run.span.starts[tp], run.span.ends[tp], positions[tp], missing=list(run.resolution.missing.get(tp, ()))
            )
            for tp in mine
        },
        run=run.id,
        resumed=bool(written),
    )
    loop = _Loop(
        sink,
        catalog,
        run,
        result,
        limits=batch,
        clock=clock,
        no_progress_seconds=no_progress_seconds,
        stop=stop or threading.Event(),
        on_progress=on_progress,
    )
    span = OffsetRange(run.span.topic, positions, {tp: run.span.ends[tp] for tp in mine})
    loop.run(
        RangeReader(
            reader,
            span,
            clock=clock,
            topic_id=run.resolution.topic_id,
            no_progress_seconds=no_progress_seconds,
            poll_records=min(POLL_RECORDS, batch.rows),
        )
    )
    return result


@dataclass(slots=True)
class _Gathered:
    """Stretches of one partition that are written together, less what is filtered out before decoding."""

    since: float
    end: int = 0
    gaps: int = 0
    filtered: int = 0
    size_bytes: int = 0
    records: list[Record] = field(default_factory=list)
    unreadable: list[DeadLetter] = field(default_factory=list)


class _Loop:
    """The state of one replay. Each partition has batches of its own, so that every offset can be accounted for."""

    def __init__(
        self,
        sink: Sink,
        catalog: Catalog,
        run: ReplayCheckpoint,
        result: ReplayResult,
        *,
        limits: BatchLimits,
        clock: Clock,
        no_progress_seconds: float,
        stop: threading.Event,
        on_progress: OnReplayProgress | None,
    ) -> None:
        self.result = result
        self._sink = sink
        self._catalog = catalog
        self._decoder = Decoder(catalog)
        self._run = run
        self._selection = run.arguments.selection
        self._limits = limits
        self._clock = clock
        self._no_progress_seconds = no_progress_seconds
        self._stop = stop
        self._on_progress = on_progress
        self._open: dict[TopicPartition, _Gathered] = {}

    def run(self, source: RangeReader) -> None:
        """Reads and writes; afterwards the result is final."""
        try:
            try:
                for stretches in source.read(self._stop):
                    # Before what follows them is written: a start after a kill would not find them again.
                    self._note_missing(source)
                    self._take(stretches)
            except OutageError:
                raise
            except IncompleteReadError as error:
                self.result.incomplete = error.message
            self._note_missing(source)
            for tp in list(self._open):
                self._write(tp)
            if self.result.missing:
                self._keep_missing()  # once more: a worker that began later has described the run without them
        except OutageError as error:
            self.result.incomplete = error.message

    def _note_missing(self, source: RangeReader) -> None:
        if not source.missing:
            return
        while source.missing:
            tp, ranges = source.missing.popitem()
            part = self.result.partitions[tp]
            part.missing = merged_ranges([*part.missing, *ranges])
        self._keep_missing()

    def _keep_missing(self) -> None:
        self._wait_out(partial(keep_missing, self._sink, self._run, list(self.result.partitions), self.result.missing))

    def _wait_out(self, step: Callable[[], _T]) -> _T:
        return retry_until(
            step, what="the sink", clock=self._clock, stop=self._stop, limit_seconds=self._no_progress_seconds
        )

    def _take(self, stretches: list[OffsetSpan]) -> None:
        now = self._clock.monotonic()
        for stretch in stretches:
            self._gather(stretch, now)
        for tp, gathered in list(self._open.items()):
            full = len(gathered.records) >= self._limits.rows or gathered.size_bytes >= self._limits.size_bytes
            if full or now - gathered.since >= self._limits.age_seconds:
                self._write(tp)
        while sum(gathered.size_bytes for gathered in self._open.values()) >= self._limits.size_bytes:
            self._write(max(self._open, key=lambda tp: self._open[tp].size_bytes))

    def _gather(self, stretch: OffsetSpan, now: float) -> None:
        gathered = self._open.setdefault(stretch.partition, _Gathered(now))
        wanted = self._selection.filter_records(stretch.records, self._catalog)
        gathered.end = stretch.end
        gathered.gaps += stretch.gaps
        gathered.filtered += len(stretch.records) - len(wanted)
        gathered.records += wanted
        gathered.unreadable += stretch.unreadable
        gathered.size_bytes += sum(len(record.value or b"") for record in wanted) + RECORD_OVERHEAD_BYTES * len(wanted)

    def _write(self, tp: TopicPartition) -> None:
        gathered = self._open.pop(tp)
        decoded = self._decoder.decode(gathered.records)
        frames = self._selection.filter_rows(decoded.frames, self._catalog)
        dead = Counter(letter.reason for letter in (*decoded.dead, *gathered.unreadable))
        batch = Batch(frames=frames, offsets={tp: gathered.end}, source=self._run.source)
        done = self._wait_out(partial(self._sink.write, batch))
        part = self.result.partitions[tp]
        part.position = gathered.end
        part.gaps += gathered.gaps
        part.filtered += gathered.filtered + decoded.rows - sum(frame.height for frame in frames.values())
        part.written += sum(done.written.values())
        part.already_there += sum(done.duplicates.values())
        part.dead += dead.total()
        self.result.written += Counter(done.written)
        self.result.already_there += Counter(done.duplicates)
        self.result.dead += dead
        if self._on_progress is not None:
            self._on_progress(self.result)
