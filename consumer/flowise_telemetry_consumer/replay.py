"""Filling a sink from what the topic holds, beside the live consumers and without touching their group."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from flowise_telemetry_consumer.backoff import Backoff
from flowise_telemetry_consumer.batch import BatchLimits, RecordBatch
from flowise_telemetry_consumer.clock import Clock, SystemClock
from flowise_telemetry_consumer.decoder import Decoder
from flowise_telemetry_consumer.pipeline import Pipeline
from flowise_telemetry_consumer.polling import Polled
from flowise_telemetry_consumer.settings import DEFAULT_TOPIC
from flowise_telemetry_consumer.sinks.port import Sink
from flowise_telemetry_consumer.topic_range import IncompleteReadError, RangeReader, TopicRange
from flowise_telemetry_schemas import Catalog, TelemetryError
from flowise_telemetry_transport.ports import RecordReader
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["OnReplayProgress", "PartitionResult", "ReplayResult", "replay"]

logger = logging.getLogger("flowise_telemetry.consumer")

_RETRY_INITIAL_SECONDS = 0.5
_RETRY_MAX_SECONDS = 10.0


@dataclass(slots=True)
class PartitionResult:
    """What became of the offsets ``start`` to before ``end`` of one partition.

    ``position`` is how far was read and written: below ``end`` in a replay that is incomplete. ``gaps`` are offsets
    without a record: compacted away, expired meanwhile, or markers of transactions.
    """

    start: int
    end: int
    position: int
    written: int = 0
    already_there: int = 0
    dead: int = 0

    @property
    def records(self) -> int:
        """How many records there were."""
        return self.written + self.already_there + self.dead

    @property
    def gaps(self) -> int:
        """Offsets that were read over and had no record."""
        return self.position - self.start - self.records

    @property
    def complete(self) -> bool:
        """Whether the end was reached."""
        return self.position == self.end


@dataclass(slots=True)
class ReplayResult:
    """What a replay did, and has done so far while it runs.

    For every partition: offsets read = ``written`` + ``already_there`` + ``dead`` + ``gaps``. ``written`` and
    ``already_there`` here are by event, ``dead`` by reason. ``incomplete`` says why the end was not reached; None
    when it was.
    """

    topic: str
    partitions: dict[TopicPartition, PartitionResult]
    written: Counter[str] = field(default_factory=Counter)
    already_there: Counter[str] = field(default_factory=Counter)
    dead: Counter[str] = field(default_factory=Counter)
    incomplete: str | None = None

    @property
    def offsets(self) -> int:
        """How many offsets there are to read."""
        return sum(result.end - result.start for result in self.partitions.values())

    @property
    def offsets_read(self) -> int:
        """How many of them are through."""
        return sum(result.position - result.start for result in self.partitions.values())

    @property
    def complete(self) -> bool:
        """Whether every partition was read to its end."""
        return self.incomplete is None


OnReplayProgress = Callable[[ReplayResult], None]
"""Called after every batch, with the result so far."""


def replay(
    reader: RecordReader,
    sink: Sink,
    catalog: Catalog,
    topic: str = DEFAULT_TOPIC,
    *,
    span: TopicRange | None = None,
    batch: BatchLimits | None = None,
    no_progress_seconds: float = 60.0,
    stop: threading.Event | None = None,
    on_progress: OnReplayProgress | None = None,
    clock: Clock | None = None,
) -> ReplayResult:
    """Writes what the topic holds at this moment (or ``span``) into a sink, and says what became of every offset.

    ``reader`` is one without a group. Dead letters are counted and not written anywhere: the live consumer did
    that. What the sink has already stays as it is, so a replay may be repeated. A sink outage is waited for; after
    ``no_progress_seconds`` without any progress, or when ``stop`` is set, the result is incomplete. Raises
    ``UnknownTopicError``, ``SinkError`` and what else no retry mends.
    """
    clock = clock or SystemClock()
    sink.prepare(list(catalog))
    span = span or TopicRange.of(reader, topic)
    run = _Replay(
        Pipeline(Decoder(catalog), sink, source=f"replay of {span.topic}"),
        span,
        limits=batch or BatchLimits(),
        clock=clock,
        no_progress_seconds=no_progress_seconds,
        stop=stop or threading.Event(),
        on_progress=on_progress,
    )
    run.run(RangeReader(reader, span, clock=clock, no_progress_seconds=no_progress_seconds))
    return run.result


class _SinkAwayError(IncompleteReadError):
    """The sink did not come back in time."""


class _Replay:
    """The state of one replay. Each partition has batches of its own, so that every offset can be accounted for."""

    def __init__(
        self,
        pipeline: Pipeline,
        span: TopicRange,
        *,
        limits: BatchLimits,
        clock: Clock,
        no_progress_seconds: float,
        stop: threading.Event,
        on_progress: OnReplayProgress | None,
    ) -> None:
        self._stop = stop
        self.result = ReplayResult(
            span.topic, {tp: PartitionResult(start, span.ends[tp], start) for tp, start in span.starts.items()}
        )
        self._pipeline = pipeline
        self._limits = limits
        self._clock = clock
        self._no_progress_seconds = no_progress_seconds
        self._on_progress = on_progress
        self._open: dict[TopicPartition, RecordBatch] = {}

    def run(self, source: RangeReader) -> None:
        """Reads and writes; afterwards the result is final."""
        try:
            try:
                for polled in source.read(self._stop):
                    self._take(polled)
            except _SinkAwayError:
                raise
            except IncompleteReadError as error:
                self.result.incomplete = error.message
            for tp in list(self._open):
                self._write(tp)
            for tp, position in source.positions.items():
                self.result.partitions[tp].position = position
        except _SinkAwayError as error:
            self.result.incomplete = error.message

    def _take(self, polled: Polled) -> None:
        now = self._clock.monotonic()
        for record in polled.records:
            self._batch_of(record.topic_partition).add([record], now=now)
        for letter in polled.unreadable:
            self._batch_of(letter.record.topic_partition).add_unreadable(letter, now=now)
        for tp, batch in list(self._open.items()):
            if batch.is_due(self._limits, now=now):
                self._write(tp)
        while sum(batch.size_bytes for batch in self._open.values()) >= self._limits.size_bytes:
            self._write(max(self._open, key=lambda tp: self._open[tp].size_bytes))

    def _batch_of(self, tp: TopicPartition) -> RecordBatch:
        return self._open.setdefault(tp, RecordBatch())

    def _write(self, tp: TopicPartition) -> None:
        flight = self._pipeline.launch(self._open.pop(tp))
        backoff = Backoff(initial_seconds=_RETRY_INITIAL_SECONDS, max_seconds=_RETRY_MAX_SECONDS)
        deadline = self._clock.monotonic() + self._no_progress_seconds
        while True:
            try:
                flight.advance(flush_seconds=0.0)
                break
            except TelemetryError as error:
                if not error.retryable:
                    raise
                if self._stop.is_set() or self._clock.monotonic() >= deadline:
                    raise _SinkAwayError(f"the sink stayed away: {error.message}") from error
                logger.warning("waiting: %s", error.message)
                self._clock.sleep(backoff.next_seconds())
        dead = flight.dead_by_reason()
        part = self.result.partitions[tp]
        part.position = flight.batch.next_offsets[tp]
        part.written += sum(flight.result.written.values())
        part.already_there += sum(flight.result.duplicates.values())
        part.dead += dead.total()
        self.result.written += Counter(flight.result.written)
        self.result.already_there += Counter(flight.result.duplicates)
        self.result.dead += dead
        if self._on_progress is not None:
            self._on_progress(self.result)
