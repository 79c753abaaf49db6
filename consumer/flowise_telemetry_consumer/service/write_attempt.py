"""One batch on its way: decode, check the limits, claim, write, deliver dead letters. Each step is done once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import polars as pl

from flowise_telemetry_consumer.dead_letter import DeadLetter
from flowise_telemetry_consumer.dead_letters.limits import LimitWatch
from flowise_telemetry_consumer.dead_letters.writer import DeadLetterBatch, DeadLetterQueue
from flowise_telemetry_consumer.decoding.decoder import Decoder
from flowise_telemetry_consumer.errors import RowRefusedError
from flowise_telemetry_consumer.monitoring.counters import BatchOutcome
from flowise_telemetry_consumer.reading.batch import RecordBatch
from flowise_telemetry_consumer.service.claim import Claimed, GroupState, claim
from flowise_telemetry_consumer.sinks.account.letters import letters_for
from flowise_telemetry_consumer.sinks.port import Batch, KeepsProgress, Sink, WriteResult
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["WriteAttempt"]


class WriteAttempt:
    """A closed batch on its way from records to rows and dead letters.

    ``advance`` is called on the sink's thread until it returns; a completed step is not repeated. The partitions in
    ``claim`` are claimed in the sink before the write, and compared with what Kafka says of the group (``state``);
    ``held`` are next offsets that the sink is known to have stored. ``seconds`` is the duration of the calls, without
    the waits between them.
    """

    def __init__(
        self,
        batch: RecordBatch,
        *,
        claim: Collection[TopicPartition] = (),
        state: GroupState | None = None,
        held: Mapping[TopicPartition, int] | None = None,
        decoder: Decoder,
        sink: Sink,
        source: str,
        dead_letters: DeadLetterQueue,
        limits: LimitWatch,
    ) -> None:
        self.batch = batch
        self.claim = frozenset(claim)
        self.claimed: Claimed | None = None
        self.seconds = 0.0
        self._state = state or GroupState()
        self._held = held or {}
        self._decoder = decoder
        self._sink = sink
        self._source = source
        self._dead_letters = dead_letters
        self._limits = limits
        self._abandoned = False
        self._frames: Mapping[str, pl.DataFrame] | None = None
        self._dead: Sequence[DeadLetter] = ()
        self._within_limits = False
        self._claimed = not claim
        self._written: WriteResult | None = None
        self._stored = False
        self._dead_letter_batch: DeadLetterBatch | None = None

    def advance(self, *, flush_seconds: float) -> None:
        """Take the batch through the steps that are left; its offsets may be committed once this returns.

        ``flush_seconds`` bounds the wait for dead letters. Raises the errors of the sink and the dead-letter queue
        (call again if retryable), and ``DeadLetterLimitError`` before anything is written.
        """
        begun = time.monotonic()
        try:
            frames = self._decode()
            self._check_limits()
            if self._abandoned:
                return
            self._claim()
            self._write(frames)
            self._deliver_dead_letters(flush_seconds)
        finally:
            self.seconds += time.monotonic() - begun

    @property
    def stored_offsets(self) -> Mapping[TopicPartition, int]:
        """Next offsets that the sink has stored with the batch: none where it was given nothing."""
        return self.batch.next_offsets if self._stored else {}

    def abandon(self) -> None:
        """Stop before the sink is touched, if there is still time: the partitions are assigned to another member.

        A claim after the new owner's would fence the new owner.
        """
        self._abandoned = True

    def outcome(self, control: Collection[str] = ()) -> BatchOutcome:
        """Return the outcome of a completed batch, for the counters; ``control`` names what is no event."""
        result = self._written or WriteResult({}, {})
        return BatchOutcome(
            records=len(self.batch),
            written={event: count for event, count in result.written.items() if event not in control},
            duplicates={event: count for event, count in result.duplicates.items() if event not in control},
            erased={event: count for event, count in result.erased.items() if event not in control},
            control={name: frame.height for name, frame in (self._frames or {}).items() if name in control},
            dead=Counter(letter.reason for letter in self._dead),
            seconds=self.seconds,
            frames=self._frames or {},
        )

    @property
    def dead(self) -> Sequence[DeadLetter]:
        """Dead letters of the batch, known once it is decoded."""
        return self._dead

    def _decode(self) -> Mapping[str, pl.DataFrame]:
        if self._frames is None:
            decoded = self._decoder.decode(self.batch.records)
            self._dead = [*decoded.dead, *self.batch.unreadable]
            self._frames = decoded.frames
        return self._frames

    def _check_limits(self) -> None:
        if not self._within_limits:
            self._limits.observe(self.batch.all_records(), self._dead)
            self._within_limits = True

    def _claim(self) -> None:
        if not self._claimed:
            if isinstance(self._sink, KeepsProgress):
                self.claimed = claim(self._sink, self._source, self.claim, self._state)
            self._claimed = True

    def _write(self, frames: Mapping[str, pl.DataFrame]) -> None:
        if self._written is not None:
            return
        letters = letters_for(self._sink, self._dead)
        if frames or letters is not None:
            batch = Batch(frames, dict(self.batch.next_offsets), self._source, held=self._held, letters=letters)
            try:
                self._written = self._sink.write(batch)
                self._stored = True
            except RowRefusedError as error:
                raise RowRefusedError(f"{error.message}; the batch is {self.batch.spans_text()}") from error
        else:
            self._written = WriteResult({}, {})

    def _deliver_dead_letters(self, flush_seconds: float) -> None:
        if self._dead_letter_batch is None:
            self._dead_letter_batch = self._dead_letters.batch(self._dead)
        self._dead_letter_batch.deliver(timeout_seconds=flush_seconds)
