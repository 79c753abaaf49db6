"""Commits what is handled, and never more."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping

from flowise_telemetry_consumer.clock import Clock
from flowise_telemetry_consumer.monitoring.counters import Progress
from flowise_telemetry_consumer.service.offsets import Offsets
from flowise_telemetry_transport.errors import CommitRejectedError, TransportError
from flowise_telemetry_transport.ports import RecordReader
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["Committer"]

logger = logging.getLogger("flowise_telemetry.consumer")

_RETRY_SECONDS = 1.0
_IDLE_SECONDS = 5.0
_LAST_RETRY_SECONDS = 0.2


class Committer:
    """Keeps the offsets of one consumer and brings them to the group's coordinator.

    A commit that fails is made again later, with what has been handled by then.
    """

    def __init__(self, reader: RecordReader, progress: Progress, clock: Clock, *, timeout_seconds: float) -> None:
        self._reader = reader
        self._progress = progress
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._offsets = Offsets()
        self._retry_at = 0.0
        self._idle_at = 0.0

    def handled(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        """Everything before these is in the sink or the dead-letter topic."""
        self._offsets.handled(next_offsets)
        self._idle_at = self._clock.monotonic() + _IDLE_SECONDS

    def forget(self, partitions: Collection[TopicPartition]) -> None:
        """These are no longer ours."""
        self._offsets.forget(partitions)

    def take_idle_positions(self) -> None:
        """With nothing in hand, the position is past all that is handled, also past markers and gaps at the end."""
        now = self._clock.monotonic()
        if now < self._idle_at:
            return
        self._idle_at = now + _IDLE_SECONDS
        assigned = self._reader.assignment()
        try:
            positions = {tp: self._reader.position(tp) for tp in self._offsets.known() if tp in assigned}
        except TransportError as error:
            if not error.retryable:
                raise
            return
        self._offsets.handled(positions)

    def commit_if_due(self) -> None:
        """Makes a commit that failed again, after a while."""
        if self._clock.monotonic() >= self._retry_at:
            self.commit()

    def commit_last(self, *, budget_seconds: float) -> None:
        """Commits before the end, again and again while it fails and the budget lasts."""
        deadline = self._clock.monotonic() + budget_seconds
        self.commit()
        while self._offsets.pending() and self._clock.monotonic() < deadline:
            self._clock.sleep(_LAST_RETRY_SECONDS)
            self.commit()

    def commit(self) -> None:
        """Commits what is handled. A failure is counted or logged and tried again; raises what no retry mends."""
        pending = self._offsets.pending()
        if not pending:
            return
        self._retry_at = self._clock.monotonic() + _RETRY_SECONDS
        try:
            self._reader.commit(pending, timeout_seconds=self._timeout_seconds)
        except CommitRejectedError as error:
            # What is in the sink stays there; whoever reads these records again writes them to no effect.
            self._progress.rejected_commits += 1
            logger.warning("%s", error.message)
            self._offsets.forget(set(pending) - self._reader.assignment())
            return
        except TransportError as error:
            if not error.retryable:
                raise
            logger.warning("commit: %s", error.message)
            return
        self._offsets.committed(pending)
        self._progress.commits += 1
