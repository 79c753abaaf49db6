"""An outage of the sink or the brokers: its cause, the next attempt, and the paused partitions."""

from __future__ import annotations

import logging
from collections.abc import Collection

from flowise_telemetry_consumer.clock import Clock
from flowise_telemetry_consumer.errors import SinkDeniedError
from flowise_telemetry_consumer.monitoring.counters import ConsumerCounters
from flowise_telemetry_consumer.monitoring.health import MAX_ANSWER_SECONDS
from flowise_telemetry_consumer.retry import Backoff
from flowise_telemetry_schemas import TelemetryError
from flowise_telemetry_transport.ports import RecordReader
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["Outage"]

logger = logging.getLogger("flowise_telemetry.consumer")


class Outage:
    """The state of one consumer's wait for its sink or its brokers.

    Partitions are paused while the sink or the brokers are unavailable, and also while a sink is merely slow: polling
    continues, so that the consumer stays in its group, and returns no records. Every change goes to the counters.
    """

    def __init__(self, reader: RecordReader, counters: ConsumerCounters, clock: Clock, backoff: Backoff) -> None:
        self._reader = reader
        self._counters = counters
        self._clock = clock
        self._backoff = backoff
        self._message: str | None = None
        self._paused: frozenset[TopicPartition] = frozenset()
        self._resumes = False
        self._told_of: float | None = None
        self.retry_at = 0.0

    @property
    def is_on(self) -> bool:
        """True from a failed attempt to the next one that succeeds."""
        return self._message is not None

    def is_waited_for(self, error: TelemetryError) -> bool:
        """Return whether an attempt that failed with this error is repeated: a denied one too, once one succeeded."""
        return error.retryable or (isinstance(error, SinkDeniedError) and self._counters.consumed > 0)

    def seconds_until_retry(self) -> float:
        """Seconds until the next attempt is due; 0 when it is."""
        return max(0.0, self.retry_at - self._clock.monotonic())

    def begin(self, error: TelemetryError) -> bool:
        """Pause the partitions and schedule the next attempt; return whether the cause is new."""
        self.retry_at = self._clock.monotonic() + self._backoff.next_seconds()
        self._counters.retries += 1
        self.pause()
        if self._message == error.message:
            return False
        logger.warning("waiting with the partitions paused: %s", error.message)
        self._message = self._counters.outage = error.message
        return True

    def end(self) -> None:
        """Resume reading: an attempt succeeded."""
        if self._message is not None:
            logger.warning("the outage is over, reading again")
        self.forget()

    def forget(self) -> None:
        """Resume reading: nothing is left to attempt, whether the outage is over or not."""
        self._backoff.reset()
        self.retry_at = 0.0
        self._message = self._counters.outage = None
        if self._resumes:
            self._remember(())
            self._resumes = False
            self._reader.resume(self._reader.assignment())

    def look(self, advancing_since: float | None) -> None:
        """Say once of each step of the sink's thread that it takes long: nothing has failed yet."""
        if advancing_since is None or advancing_since == self._told_of:
            return
        seconds = self._clock.monotonic() - advancing_since
        if seconds > MAX_ANSWER_SECONDS:
            self._told_of = advancing_since
            logger.warning("the sink has not answered for %.0f s; nothing more is read until it does", seconds)

    def pause(self) -> None:
        """Pause all assigned partitions, until ``end``."""
        assigned = self._reader.assignment()
        if assigned != self._paused:
            self._reader.pause(assigned)
            self._remember(assigned)

    def assigned(self, partitions: Collection[TopicPartition]) -> None:
        """Pause newly assigned partitions too."""
        if self._paused or self.is_on:
            self._reader.pause(partitions)
            self._remember(partitions)  # the next ``pause`` adds those that a cooperative rebalance left with us

    def revoked(self, partitions: Collection[TopicPartition]) -> None:
        """Forget partitions that are assigned to another member."""
        self._remember(self._paused - frozenset(partitions))

    def _remember(self, paused: Collection[TopicPartition]) -> None:
        self._paused = self._counters.paused = frozenset(paused)
        self._resumes = self._resumes or bool(self._paused)
