"""The records that a consumer has in hand: those that it polls, and those that are being written."""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import Executor, Future

from flowise_telemetry_consumer.reading.batch import RecordBatch
from flowise_telemetry_consumer.service.write_attempt import WriteAttempt
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["InHand"]


class InHand:
    """At most two batches: ``open``, which is being polled, and the one that ``attempt`` writes.

    ``advancing`` is the step of the attempt that the sink's thread is at; ``attempt_of`` makes the attempt of a batch.
    """

    def __init__(
        self, attempt_of: Callable[[RecordBatch], WriteAttempt], sink_thread: Executor, *, flush_seconds: float
    ) -> None:
        self._attempt_of = attempt_of
        self._sink_thread = sink_thread
        self._flush_seconds = flush_seconds
        self._since: float | None = None
        self.open = RecordBatch()
        self.attempt: WriteAttempt | None = None
        self.advancing: Future[None] | None = None

    def __bool__(self) -> bool:
        return self.attempt is not None or bool(self.open)

    def partitions(self) -> frozenset[TopicPartition]:
        """Return the partitions that the records come from."""
        attempted = self.attempt.batch.next_offsets if self.attempt is not None else ()
        return frozenset(self.open.next_offsets).union(attempted)

    def start(self) -> WriteAttempt:
        """Close the open batch and begin its way to the sink."""
        self.attempt, self.open = self._attempt_of(self.open), RecordBatch()
        return self.attempt

    def advance(self, attempt: WriteAttempt, *, now: float) -> Future[None]:
        """Have the sink's thread take a batch through the steps that are left."""
        self._since = now
        self.advancing = self._sink_thread.submit(attempt.advance, flush_seconds=self._flush_seconds)
        return self.advancing

    @property
    def advancing_since(self) -> float | None:
        """Monotonic time at which the sink's thread was given what it is at; None while it waits."""
        return None if self.advancing is None else self._since

    @property
    def oldest_since(self) -> float | None:
        """Monotonic time at which the oldest record in hand was polled."""
        attempted = None if self.attempt is None else self.attempt.batch.since
        return min((since for since in (attempted, self.open.since) if since is not None), default=None)

    def let_go(self, partitions: Collection[TopicPartition]) -> int:
        """Let go of records of these partitions, which are not completed nor committed; return their number."""
        before = len(self.open)
        self.open = self.open.without(partitions)
        dropped = before - len(self.open)
        if self.attempt is None:
            return dropped
        rest = self.attempt.batch.without(partitions)
        gone = len(self.attempt.batch) - len(rest)
        if gone or self.attempt.claim.intersection(partitions):
            # An attempt that is already writing goes on: its events are written, and read again.
            self.attempt.abandon()
            if self.advancing is not None:
                self.advancing.cancel()
                self.advancing = None
            self.attempt = self._attempt_of(rest) if rest else None
        return dropped + gone
