"""One batch on its way: decoded, into the sink, its dead letters written. In this order, each step once."""

from __future__ import annotations

from collections import Counter

from flowise_telemetry_consumer.batch import RecordBatch
from flowise_telemetry_consumer.dead_letter_limits import LimitWatch
from flowise_telemetry_consumer.dead_letter_queue import DeadLetterQueue, Shipment
from flowise_telemetry_consumer.decoder import Decoded, Decoder
from flowise_telemetry_consumer.sinks.port import Batch, Sink, WriteResult

__all__ = ["Flight", "Pipeline"]


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

    def launch(self, batch: RecordBatch) -> Flight:
        """A closed batch, at its start."""
        return Flight(self, batch)


class Flight:
    """A closed batch. ``advance`` is called until it returns; what is done is not done again."""

    def __init__(self, pipeline: Pipeline, batch: RecordBatch) -> None:
        self.batch = batch
        self._pipeline = pipeline
        self._decoded: Decoded | None = None
        self._written: WriteResult | None = None
        self._shipment: Shipment | None = None

    def advance(self, *, flush_seconds: float) -> None:
        """Takes the batch through the steps that are left; afterwards its offsets may be committed.

        ``flush_seconds`` bounds the wait for dead letters. Raises what the sink or the dead-letter queue raises
        (the retryable ones: call again), or ``DeadLetterLimitError`` before anything was written.
        """
        decoded = self._decode()
        if self._written is None:
            frames = {event: frame for event, frame in decoded.frames.items() if frame.height}
            if frames:
                self._written = self._pipeline.sink.write(
                    Batch(frames=frames, offsets=dict(self.batch.next_offsets), source=self._pipeline.source)
                )
            else:
                self._written = WriteResult({}, {})
        if self._pipeline.dead_letters is not None:
            if self._shipment is None:
                self._shipment = self._pipeline.dead_letters.shipment(decoded.dead)
            self._shipment.deliver(timeout_seconds=flush_seconds)

    def _decode(self) -> Decoded:
        if self._decoded is None:
            decoded = self._pipeline.decoder.decode(self.batch.records)
            decoded = Decoded(decoded.frames, [*decoded.dead, *self.batch.unreadable])
            if self._pipeline.limits is not None:
                self._pipeline.limits.observe(self.batch.all_records(), decoded.dead)
            self._decoded = decoded
        return self._decoded

    @property
    def result(self) -> WriteResult:
        """What the sink said; nothing before it was asked."""
        return self._written or WriteResult({}, {})

    def dead_by_reason(self) -> Counter[str]:
        """The dead letters of the batch; none before it was decoded."""
        return Counter(letter.reason for letter in self._decoded.dead) if self._decoded else Counter()
