"""The loop of a replay: read spans, decode and filter, write rows and progress in one transaction."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from flowise_telemetry_consumer.dead_letter import DeadLetter
from flowise_telemetry_consumer.decoding.decoder import Decoder
from flowise_telemetry_consumer.errors import OutageError
from flowise_telemetry_consumer.reading.batch import BatchLimits, RecordBatch
from flowise_telemetry_consumer.reading.offset_range import MissingOffsets, OffsetRange, OffsetSpan
from flowise_telemetry_consumer.reading.range_reader import POLL_RECORDS, RangeReader
from flowise_telemetry_consumer.replay.checkpoints import ReplayCheckpoint, keep_missing
from flowise_telemetry_consumer.replay.report import (
    OnReport,
    ReplayResult,
    add_missing,
    merged_ranges,
    unread_partitions,
)
from flowise_telemetry_consumer.replay.request import ReplayRequest, Shard
from flowise_telemetry_consumer.replay.resume import open_run
from flowise_telemetry_consumer.retry import DEFAULT_CONTROL, RunControl, retry_until
from flowise_telemetry_consumer.sinks.account.letters import letters_for
from flowise_telemetry_consumer.sinks.parts import PartedWrite, WriteSize, write_all
from flowise_telemetry_consumer.sinks.port import Batch, KeepsProgress, Sink
from flowise_telemetry_consumer.sinks.refusals import OnRefused, Refusals
from flowise_telemetry_consumer.sinks.refused_records import RefusedRecords
from flowise_telemetry_schemas import Catalog
from flowise_telemetry_transport.ports import RecordReader
from flowise_telemetry_transport.topics import EVENTS_TOPIC
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["REPLAY_BATCH", "advance_run", "replay"]

REPLAY_BATCH = BatchLimits(rows=20_000, size_bytes=64 * 1_048_576, age_seconds=2.0)
"""Larger than the service's batches: nobody waits for the newest event, and a kill only costs reading again."""

_T = TypeVar("_T")

logger = logging.getLogger("flowise_telemetry.consumer")


def replay(
    reader: RecordReader,
    sink: Sink,
    catalog: Catalog,
    request: ReplayRequest | str = EVENTS_TOPIC,
    *,
    shard: Shard | None = None,
    run_id: str | None = None,
    restart: bool = False,
    batch: BatchLimits = REPLAY_BATCH,
    control: RunControl = DEFAULT_CONTROL,
    on_refused: OnRefused = "wait",
    on_report: OnReport | None = None,
) -> ReplayResult:
    """Write a range of a topic into a sink and return the outcome of every offset.

    ``request`` may be the name of a topic, which means all of it. ``reader`` has no group. Progress is kept in the
    sink's own transactions: a replay that was killed resumes when it is started with the same request (or its
    ``run_id``), up to the end offsets of its first start. A finished one reads everything again, up to the current end
    offsets; so does any with ``restart``. Events that the sink already has stay as they are. Dead letters are counted,
    in the sink too, and not written to a topic: the live consumer did that.

    A batch that takes too long is halved. A row that the sink refuses by a rule of others is waited for or, if
    ``on_refused`` is "dead-letter", counted as a dead letter and left out: its record is in the topic, for a replay
    once the rule is mended.

    An outage of sink or broker is waited out; the result is incomplete after ``control.no_progress_seconds`` without
    any progress, or once the run is stopped. Raises ``UnknownTopicError``, ``TopicChangedError``, ``SinkInUseError`` if
    another process runs the same replay, ``SinkError``, and ``ConfigurationError`` for an empty range.
    """
    request = ReplayRequest(topic=request) if isinstance(request, str) else request
    sink.prepare(list(catalog))
    run = open_run(reader, sink, request, clock=control.clock, shard=shard, run_id=run_id, restart=restart)
    return advance_run(
        reader, sink, catalog, run, batch=batch, control=control, on_refused=on_refused, on_report=on_report
    )


def advance_run(
    reader: RecordReader,
    sink: Sink,
    catalog: Catalog,
    run: ReplayCheckpoint,
    *,
    partitions: Collection[TopicPartition] | None = None,
    batch: BatchLimits = REPLAY_BATCH,
    control: RunControl = DEFAULT_CONTROL,
    on_refused: OnRefused = "wait",
    on_report: OnReport | None = None,
) -> ReplayResult:
    """Read what is left of a run, or of some of its partitions. Needs a prepared sink; otherwise as ``replay``."""
    ours = sorted(run.offsets.starts) if partitions is None else sorted(partitions)
    written: dict[TopicPartition, int] = {}
    if isinstance(sink, KeepsProgress):
        written.update(sink.claim(run.source, ours, description=run.description()))
    positions = {tp: max(run.offsets.starts[tp], written.get(tp, 0)) for tp in ours}
    result = ReplayResult(
        run.offsets.topic,
        unread_partitions(run.resolved, positions),
        run=run.id,
        resumed=bool(written),
    )
    source = RangeReader(
        reader,
        OffsetRange(run.offsets.topic, positions, {tp: run.offsets.ends[tp] for tp in ours}),
        control,
        topic_id=run.resolved.topic_id,
        poll_records=min(POLL_RECORDS, batch.rows),
    )
    loop = _Loop(
        sink,
        catalog,
        run,
        result,
        held=written,
        limits=batch,
        control=control,
        on_refused=on_refused,
        on_report=on_report,
    )
    loop.run(source)
    return result


@dataclass(slots=True)
class _PartitionBatch:
    """Spans of one partition that are written together; ``gaps`` and ``filtered`` are counted before decoding."""

    batch: RecordBatch = field(default_factory=RecordBatch)
    gaps: int = 0
    filtered: int = 0


class _Loop:
    """The state of one replay. Each partition has separate batches, so that every offset can be accounted for."""

    def __init__(
        self,
        sink: Sink,
        catalog: Catalog,
        run: ReplayCheckpoint,
        result: ReplayResult,
        *,
        held: Mapping[TopicPartition, int],
        limits: BatchLimits,
        control: RunControl,
        on_refused: OnRefused,
        on_report: OnReport | None,
    ) -> None:
        self.result = result
        self._sink = sink
        self._catalog = catalog
        self._decoder = Decoder(catalog)
        self._run = run
        self._filter = run.request.record_filter
        self._held = dict(held)
        self._limits = limits
        self._control = control
        self._refusals = Refusals(on_refused, clock=control.clock)
        self._size = WriteSize(control.clock.monotonic)
        self._on_report = on_report
        self._told: set[str] = set()
        self._is_kept = True
        self._open: dict[TopicPartition, _PartitionBatch] = {}

    def run(self, source: RangeReader) -> None:
        """Read and write; afterwards the result is final."""
        try:
            for poll in source:
                # Before the spans after them are written: a resumed run would not find them again.
                self._note_missing(poll.missing)
                self._take(poll.spans)
            if source.incomplete is not None:
                self.result.incomplete = source.incomplete.message
            for tp in list(self._open):
                self._write(tp)
            self._note_empty()
            if self.result.missing or self.result.refused or self._run.resolved.refused:
                self._keep_missing()  # once more: a worker that started later has replaced the description
        except OutageError as error:
            self.result.incomplete = error.message

    def _note_empty(self) -> None:
        """Store that empty partitions were read to their ends: ``promote`` has to know when records have come since."""
        ours = self._run.offsets
        empty = {tp: ours.ends[tp] for tp in self.result.partitions if ours.starts[tp] >= ours.ends[tp]}
        unknown = {tp: end for tp, end in empty.items() if tp not in self._held}
        if unknown and isinstance(self._sink, KeepsProgress):
            self._retry(partial(self._sink.write, Batch(frames={}, offsets=unknown, source=self._run.source)))

    def _note_missing(self, missing: MissingOffsets) -> None:
        if missing:
            add_missing(self.result.partitions, missing)
            self._keep_missing()

    def _keep_missing(self) -> None:
        self._retry(self._keep)

    def _keep(self) -> None:
        keep_missing(self._sink, self._run, list(self.result.partitions), self.result.missing, self.result.refused)

    def _retry(self, step: Callable[[], _T]) -> _T:
        return retry_until(step, self._control, what="the sink")

    def _ask(self, step: Callable[[], _T]) -> _T:
        """Do what needs the registry, where records name their schemas by it."""
        return retry_until(step, self._control, what="the schema registry")

    def _take(self, spans: Sequence[OffsetSpan]) -> None:
        now = self._control.clock.monotonic()
        for span in spans:
            wanted = self._ask(partial(self._filter.filter_records, span.records, self._catalog))
            ours = self._open.setdefault(span.partition, _PartitionBatch())
            ours.batch.add_span(span, wanted, now=now)
            ours.gaps += span.gaps
            ours.filtered += len(span.records) - len(wanted)
        for tp, ours in list(self._open.items()):
            if ours.batch.is_due(self._limits, now=now):
                self._write(tp)
        while sum(ours.batch.size_bytes for ours in self._open.values()) >= self._limits.size_bytes:
            self._write(max(self._open, key=lambda tp: self._open[tp].batch.size_bytes))

    def _write(self, tp: TopicPartition) -> None:
        ours = self._open.pop(tp)
        decoded = self._ask(partial(self._decoder.decode, ours.batch.records))
        frames = self._filter.filter_rows(decoded.frames, self._catalog)
        letters = [*decoded.dead, *ours.batch.unreadable]
        offsets = ours.batch.next_offsets
        held = {tp: self._held[tp]} if tp in self._held else {}
        counted = letters_for(self._sink, letters)
        batch = Batch(frames=frames, offsets=offsets, source=self._run.source, held=held, letters=counted)
        refused = RefusedRecords(
            self._decoder, self._refusals, ours.batch.records, letters, spans=ours.batch.spans_text
        )
        write = PartedWrite(self._sink, batch, self._size)
        write_all(write, partial(self._step, tp, refused), self._control)
        self._held |= offsets
        self._tell(refused.letters)
        dead = Counter(letter.reason for letter in (*letters, *refused.letters))
        written, duplicates, erased = write.counts
        part = self.result.partitions[tp]
        part.position = offsets[tp]
        part.gaps += ours.gaps
        part.filtered += ours.filtered + decoded.rows - sum(frame.height for frame in frames.values())
        part.written += written.total()
        part.already_there += duplicates.total()
        part.erased += erased.total()
        part.dead += dead.total()
        self.result.written += written
        self.result.already_there += duplicates
        self.result.erased += erased
        self.result.dead += dead
        if self._on_report is not None:
            self._on_report(self.result)

    def _step(self, tp: TopicPartition, refused: RefusedRecords, write: PartedWrite) -> None:
        """Do a step; what is left out is kept with the run before the part that stores the offsets of the batch."""
        part = self.result.partitions[tp]
        offsets = merged_ranges(
            [*part.refused, *((each.record.offset, each.record.offset + 1) for each in refused.letters)]
        )
        if offsets != part.refused:
            part.refused = offsets
            self._is_kept = False
        if not self._is_kept:
            self._keep()
            self._is_kept = True
        refused.step(write, counted_by=self._sink)

    def _tell(self, letters: Sequence[DeadLetter]) -> None:
        """Say once of each rule which record it refused; the sink's account of dead letters has them all."""
        for letter in letters:
            if letter.message not in self._told:
                self._told.add(letter.message)
                place = f"{letter.record.topic}[{letter.record.partition}] offset {letter.record.offset}"
                logger.warning(
                    "left out %s at %s, as all that are refused so: %s", letter.schema, place, letter.message
                )
