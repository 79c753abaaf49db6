"""Commit the offsets up to which every record is handled, and never more."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from functools import partial

from flowise_telemetry_consumer.clock import Clock
from flowise_telemetry_consumer.monitoring.counters import ConsumerCounters
from flowise_telemetry_schemas import TelemetryError
from flowise_telemetry_transport.committing import commit_and_tell
from flowise_telemetry_transport.errors import CommitRejectedError, UnknownTopicError
from flowise_telemetry_transport.ports import RecordReader
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["Committer"]

logger = logging.getLogger("flowise_telemetry.consumer")

_RETRY_SECONDS = 1.0
_IDLE_SECONDS = 5.0
_LAST_RETRY_SECONDS = 0.2


class Committer:
    """Commits one consumer's offsets to the group coordinator.

    For each partition it keeps the next offset: everything before it is in the sink or in the dead-letter topic.
    Batches are handled one after the other and each holds a partition's records in offset order, so the offset after a
    handled batch's last record leaves no unhandled record behind, gaps in the offsets included. A failed commit is
    repeated later, with the offsets handled by then.
    """

    def __init__(
        self, reader: RecordReader, counters: ConsumerCounters, clock: Clock, *, timeout_seconds: float
    ) -> None:
        self._reader = reader
        self._counters = counters
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._handled: dict[TopicPartition, int] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._sent: dict[TopicPartition, int] = {}  # and not answered yet
        self._answer_by = 0.0
        self._permanent: TelemetryError | None = None
        self._is_failing = False
        self._retry_at = 0.0
        self._idle_at = 0.0

    def handled(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        """Mark everything before these offsets as handled."""
        self._advance(next_offsets)
        self._idle_at = self._clock.monotonic() + _IDLE_SECONDS

    def forget(self, partitions: Collection[TopicPartition]) -> None:
        """Drop partitions that belong to another member, or that will be read again from the committed offset."""
        for partition in partitions:
            self._handled.pop(partition, None)
            self._committed.pop(partition, None)
            self._sent.pop(partition, None)
            self._counters.committed.pop(partition, None)

    def take_idle_positions(self) -> None:
        """Mark everything up to the reader's positions as handled; call only while no polled record is unhandled.

        This also commits offsets without a record, such as transaction markers and compaction gaps at the end.
        """
        now = self._clock.monotonic()
        if now < self._idle_at:
            return
        self._idle_at = now + _IDLE_SECONDS
        known = self._reader.known_positions()
        self._advance({tp: known[tp] for tp in self._handled if tp in known})

    def commit(self) -> None:
        """Commit what is handled; the answer may come with a later poll. Raises permanent errors, the last one's too.

        A failure is counted or logged, and what it concerns is committed again later.
        """
        self._raise_permanent()
        if self._sent and self._clock.monotonic() >= self._answer_by:
            self._note_failure(f"the brokers did not answer within {self._timeout_seconds:g} s")
            self._sent.clear()
        pending = {tp: offset for tp, offset in self._pending().items() if self._sent.get(tp) != offset}
        if not pending:
            return
        now = self._clock.monotonic()
        self._retry_at, self._answer_by = now + _RETRY_SECONDS, now + self._timeout_seconds
        self._sent.update(pending)
        answered = partial(self._answered, pending)
        self._reader.begin_commit(pending, answered, timeout_seconds=self._timeout_seconds)
        self._raise_permanent()

    def _answered(self, offsets: Mapping[TopicPartition, int], error: TelemetryError | None) -> None:
        for partition, offset in offsets.items():
            if self._sent.get(partition) == offset:
                del self._sent[partition]
        if error is None:
            # What was forgotten meanwhile may be someone else's by now.
            ours = {partition: offset for partition, offset in offsets.items() if partition in self._handled}
            self._committed.update(ours)
            self._counters.committed.update(ours)
            self._counters.commits += 1
            self._counters.committed_at_ms = self._clock.now_ms()
            self._note_success()
        elif isinstance(error, CommitRejectedError):
            # The sink keeps its rows; the member that reads these records again finds them there.
            self._counters.rejected_commits += 1
            logger.warning("%s", error.message)
            self.forget(set(offsets) - self._reader.assignment())
        elif error.retryable or isinstance(error, UnknownTopicError):
            # A topic that was deleted may be created again, as what it was or with another id.
            self._note_failure(error.message)
        else:
            self._permanent = error

    def _note_failure(self, message: str) -> None:
        """Log the first of several failures in a row: a commit is tried again every few seconds."""
        level = logging.DEBUG if self._is_failing else logging.WARNING
        self._is_failing = True
        logger.log(level, "commit: %s", message)

    def _note_success(self) -> None:
        if self._is_failing:
            self._is_failing = False
            logger.warning("commits work again")

    def _raise_permanent(self) -> None:
        """Raise an error that no later commit mends; not in the answer, which may come inside the client."""
        error, self._permanent = self._permanent, None
        if error is not None:
            raise error

    def commit_if_due(self) -> None:
        """Commit what is handled, unless a commit was sent within the last second."""
        if self._clock.monotonic() >= self._retry_at:
            self.commit()

    def commit_last(self, *, budget_seconds: float) -> None:
        """Commit before the end, wait for the answer, and repeat a failed commit while the budget lasts."""
        deadline = self._clock.monotonic() + budget_seconds
        self._raise_permanent()
        while pending := self._pending():
            answered = partial(self._answered, pending)
            commit_and_tell(self._reader, pending, answered, timeout_seconds=self._timeout_seconds)
            self._raise_permanent()
            if not self._pending() or self._clock.monotonic() >= deadline:
                return
            self._clock.sleep(_LAST_RETRY_SECONDS)

    def _advance(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        for partition, offset in next_offsets.items():
            self._handled[partition] = max(offset, self._handled.get(partition, 0))

    def _pending(self) -> dict[TopicPartition, int]:
        """Return the offsets that are handled and not committed."""
        return {
            partition: offset for partition, offset in self._handled.items() if self._committed.get(partition) != offset
        }
