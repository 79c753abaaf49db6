"""One batch on its way: decoded, into the sink, its dead letters written. In this order, each step once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping

import polars as pl

from flowise_telemetry_consumer.dead_letters.limits import LimitWatch
from flowise_telemetry_consumer.dead_letters.writer import DeadLetterQueue, Shipment
from flowise_telemetry_consumer.decoding.decoder import Decoded, Decoder
from flowise_telemetry_consumer.monitoring.counters import BatchOutcome
from flowise_telemetry_consumer.reading.batch import RecordBatch
from flowise_telemetry_consumer.sinks.port import Batch, KeepsProgress, Sink, WriteResult
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["Pipeline", "WriteAttempt"]


class Pipeline:
    """The steps from records to sink; the consumer and the replay share them.

    Without ``dead_letters`` dead letters are only counted; without ``limits`` any number of them is fine.
    """

    def __init__(
        self,
        decoder: Decoder,
        sink: Sink,
        *,
        source: str,
        dead_letters: DeadLetterQueue | None = None,
        limits: LimitWatch | None = None,
    ) -> None:
        self.decoder = decoder
        self.sink = sink
        self.source = source
        self.dead_letters = dead_letters
        self.limits = limits

    def launch(self, batch: RecordBatch, *, claim: Collection[TopicPartition] = ()) -> WriteAttempt:
        """A closed batch, at its start; ``claim`` is what the sink has to be told is ours before it is written."""
        return WriteAttempt(self, batch, claim)


class WriteAttempt:
    """A closed batch. ``advance`` is called until it returns, on the sink's thread; what is done is not done again.

    ``seconds`` is how long the attempts took, without the waits between them.
    """

    def __init__(self, pipeline: Pipeline, batch: RecordBatch, claim: Collection[TopicPartition]) -> None:
        self.batch = batch
        self.claim = frozenset(claim)
        self.seconds = 0.0
        self._pipeline = pipeline
        self._claimed = not claim
        self._abandoned = False
        self._decoded: Decoded | None = None
        self._written: WriteResult | None = None
        self._shipment: Shipment | None = None

    def advance(self, *, flush_seconds: float) -> None:
        """Takes the batch through the steps that are left; afterwards its offsets may be committed.

        ``flush_seconds`` bounds the wait for dead letters. Raises what the sink or the dead-letter queue raises
        (the retryable ones: call again), or ``DeadLetterLimitError`` before anything was written.
        """
        begun = time.monotonic()
        try:
            self._advance(flush_seconds)
        finally:
            self.seconds += time.monotonic() - begun

    def _advance(self, flush_seconds: float) -> None:
        pipeline = self._pipeline
        decoded = self._decode()
        if self._abandoned:
            return
        if not self._claimed:
            if isinstance(pipeline.sink, KeepsProgress):
                pipeline.sink.claim(pipeline.source, sorted(self.claim))
            self._claimed = True
        if self._written is None:
            if self.frames:
                self._written = pipeline.sink.write(
                    Batch(frames=self.frames, offsets=dict(self.batch.next_offsets), source=pipeline.source)
                )
            else:
                self._written = WriteResult({}, {})
        if pipeline.dead_letters is not None:
            if self._shipment is None:
                self._shipment = pipeline.dead_letters.shipment(decoded.dead)
            self._shipment.deliver(timeout_seconds=flush_seconds)

    def abandon(self) -> None:
        """Has an attempt on another thread end early, if it can: its partitions are someone else's.

        It must not claim them now, which would fence their new owner.
        """
        self._abandoned = True

    def _decode(self) -> Decoded:
        if self._decoded is None:
            decoded = self._pipeline.decoder.decode(self.batch.records)
            decoded = Decoded(decoded.frames, [*decoded.dead, *self.batch.unreadable])
            if self._pipeline.limits is not None:
                self._pipeline.limits.observe(self.batch.all_records(), decoded.dead)
            self._decoded = decoded
        return self._decoded

    @property
    def frames(self) -> Mapping[str, pl.DataFrame]:
        """The events of the batch, none of the frames empty; nothing before it was decoded."""
        return {} if self._decoded is None else self._decoded.frames

    @property
    def result(self) -> WriteResult:
        """What the sink said; nothing before it was asked."""
        return self._written or WriteResult({}, {})

    def outcome(self) -> BatchOutcome:
        """Return what the counters want to know of a batch that is through."""
        dead = self._decoded.dead if self._decoded else ()
        return BatchOutcome(
            records=len(self.batch),
            written=self.result.written,
            duplicates=self.result.duplicates,
            dead=Counter(letter.reason for letter in dead),
            seconds=self.seconds,
            frames=self.frames,
        )
