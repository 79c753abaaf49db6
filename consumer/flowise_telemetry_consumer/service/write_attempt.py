"""One batch on its way: decode, check the limits, claim, write, deliver dead letters. Each step is done once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from flowise_telemetry_consumer.dead_letter import DeadLetter
from flowise_telemetry_consumer.dead_letters.limits import LimitWatch
from flowise_telemetry_consumer.dead_letters.writer import DeadLetterBatch, DeadLetterQueue
from flowise_telemetry_consumer.decoding.decoder import Decoder
from flowise_telemetry_consumer.monitoring.counters import BatchOutcome
from flowise_telemetry_consumer.reading.batch import RecordBatch
from flowise_telemetry_consumer.service.claim import Claimed, GroupState, claim
from flowise_telemetry_consumer.sinks.account.letters import letters_for
from flowise_telemetry_consumer.sinks.parts import PartedWrite, WriteSize
from flowise_telemetry_consumer.sinks.port import Batch, KeepsProgress, Sink
from flowise_telemetry_consumer.sinks.refusals import Refusals
from flowise_telemetry_consumer.sinks.refused_records import RefusedRecords
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["WriteAttempt", "WritePath"]

_STEP_SECONDS = 5.0
"""Time after which ``advance`` returns between two parts, so that a slow sink is not taken for one that hangs."""


@dataclass(frozen=True, slots=True)
class WritePath:
    """What every batch of one consumer passes; ``source`` is its group."""

    decoder: Decoder
    sink: Sink
    source: str
    dead_letters: DeadLetterQueue
    limits: LimitWatch
    refusals: Refusals
    size: WriteSize


class WriteAttempt:
    """A closed batch on its way from records to rows and dead letters.

    ``advance`` is called on the sink's thread until it ``is_done``; a completed step is not repeated. The partitions in
    ``claim`` are claimed in the sink before the write, and compared with what Kafka says of the group (``state``);
    ``held`` are next offsets that the sink is known to have stored. ``seconds`` is the duration of the calls, without
    the waits between them.
    """

    def __init__(
        self,
        batch: RecordBatch,
        path: WritePath,
        *,
        claim: Collection[TopicPartition] = (),
        state: GroupState | None = None,
        held: Mapping[TopicPartition, int] | None = None,
    ) -> None:
        self.batch = batch
        self.claim = frozenset(claim)
        self.claimed: Claimed | None = None
        self.seconds = 0.0
        self._state = state or GroupState()
        self._held = held or {}
        self._path = path
        self._refused: RefusedRecords | None = None
        self._abandoned = False
        self._frames: Mapping[str, pl.DataFrame] | None = None
        self._dead: list[DeadLetter] = []
        self._within_limits = False
        self._claimed = not claim
        self._write: PartedWrite | None = None
        self._dead_letter_batch: DeadLetterBatch | None = None
        self.is_done = False

    def advance(self, *, flush_seconds: float) -> None:
        """Take the batch through the steps that are left, or through some of them; ``is_done`` says which.

        Its offsets may be committed then. ``flush_seconds`` bounds the wait for dead letters. Raises the errors of the
        sink and the dead-letter queue (call again if retryable), and ``DeadLetterLimitError`` before anything is
        written.
        """
        begun = time.monotonic()
        try:
            frames = self._decode()
            self._check_limits()
            if self._abandoned:
                self.is_done = True
                return
            self._claim()
            if self._write_parts(frames, until=begun + _STEP_SECONDS):
                self._deliver_dead_letters(flush_seconds)
                self.is_done = True
        finally:
            self.seconds += time.monotonic() - begun

    @property
    def stored_offsets(self) -> Mapping[TopicPartition, int]:
        """Next offsets that the sink has stored with the batch: none where it was given nothing."""
        return self.batch.next_offsets if self._write is not None and self._write.is_done else {}

    def abandon(self) -> None:
        """Stop before the sink is touched, if there is still time: the partitions are assigned to another member.

        A claim after the new owner's would fence the new owner.
        """
        self._abandoned = True

    def outcome(self, control: Collection[str] = ()) -> BatchOutcome:
        """Return the outcome of a completed batch, for the counters; ``control`` names what is no event."""
        refused = Counter[str]() if self._refused is None else self._refused.by_event
        rows = {event: frame.height - refused[event] for event, frame in (self._frames or {}).items()}
        written, duplicates, erased = ({}, {}, {}) if self._write is None else self._write.counts
        return BatchOutcome(
            records=len(self.batch),
            written={event: count for event, count in written.items() if event not in control},
            duplicates={event: count for event, count in duplicates.items() if event not in control},
            erased={event: count for event, count in erased.items() if event not in control},
            control={name: count for name, count in rows.items() if name in control},
            dead=Counter(letter.reason for letter in self.dead),
            seconds=self.seconds,
            frames=self._frames or {},
        )

    @property
    def dead(self) -> Sequence[DeadLetter]:
        """Dead letters of the batch, known once it is done."""
        return self._dead if self._refused is None else [*self._dead, *self._refused.letters]

    def _decode(self) -> Mapping[str, pl.DataFrame]:
        if self._frames is None:
            decoded = self._path.decoder.decode(self.batch.records)
            self._dead = [*decoded.dead, *self.batch.unreadable]
            self._frames = decoded.frames
        return self._frames

    def _check_limits(self) -> None:
        if not self._within_limits:
            self._path.limits.observe(self.batch.all_records(), self._dead)
            self._within_limits = True

    def _claim(self) -> None:
        if not self._claimed:
            if isinstance(self._path.sink, KeepsProgress):
                self.claimed = claim(self._path.sink, self._path.source, self.claim, self._state)
            self._claimed = True

    def _write_parts(self, frames: Mapping[str, pl.DataFrame], *, until: float) -> bool:
        """Write what is left of the rows; return False if the time is up before."""
        if self._write is None or self._refused is None:
            letters = letters_for(self._path.sink, self._dead)
            if not frames and letters is None:
                return True
            offsets = dict(self.batch.next_offsets)
            whole = Batch(frames, offsets, self._path.source, held=self._held, letters=letters)
            self._write = PartedWrite(self._path.sink, whole, self._path.size)
            self._refused = RefusedRecords(
                self._path.decoder, self._path.refusals, self.batch.records, self._dead, spans=self.batch.spans_text
            )
        while not self._write.is_done:
            self._refused.step(self._write, counted_by=self._path.sink)
            if time.monotonic() >= until and not self._write.is_done:
                return False
        return True

    def _deliver_dead_letters(self, flush_seconds: float) -> None:
        if self._dead_letter_batch is None:
            self._dead_letter_batch = self._path.dead_letters.batch(self.dead)
        self._dead_letter_batch.deliver(timeout_seconds=flush_seconds)
