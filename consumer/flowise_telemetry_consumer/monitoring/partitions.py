"""An operator's view of the partitions: assignment, lag, age of events, missing events."""

from __future__ import annotations

from collections.abc import Collection

from flowise_telemetry_consumer.clock import Clock
from flowise_telemetry_consumer.monitoring.counters import BatchOutcome, ConsumerCounters
from flowise_telemetry_consumer.monitoring.missing_events import MissingEvents
from flowise_telemetry_transport.errors import TransportError
from flowise_telemetry_transport.ports import RecordReader
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["LAG_SECONDS", "PartitionMonitor"]

LAG_SECONDS = 15.0
"""Interval between two look-ups of the partitions' ends, while metrics are scraped."""


class PartitionMonitor:
    """Watch over the assigned partitions: lag, age of events, missing events. Runs on the consumer's thread."""

    def __init__(self, reader: RecordReader, counters: ConsumerCounters, clock: Clock, *, topic: str) -> None:
        self._reader = reader
        self._counters = counters
        self._clock = clock
        self._topic = topic
        self._look_at = 0.0
        self._was_assigned = False
        self._missing: MissingEvents | None = None

    def assigned(self, partitions: Collection[TopicPartition]) -> None:
        """Note newly assigned partitions."""
        self._counters.rebalances += 1
        self._counters.assigned |= frozenset(partitions)
        self._was_assigned = True  # looked at by ``look``: no requests to the brokers inside a rebalance

    def revoked(self, partitions: Collection[TopicPartition]) -> None:
        """Note partitions that are no longer ours."""
        counters = self._counters
        counters.assigned -= frozenset(partitions)
        counters.lag = {tp: lag for tp, lag in counters.lag.items() if tp in counters.assigned}
        self._missing = counters.missing_events = None

    def count(self, outcome: BatchOutcome) -> None:
        """Take age and sequence numbers from a completed batch."""
        newest = [moment for frame in outcome.frames.values() if (moment := frame["occurred_at"].max()) is not None]
        if newest:
            newest_ms = max(moment.timestamp() for moment in newest) * 1000  # type: ignore[union-attr]  # datetimes
            self._counters.event_age_seconds = max(0.0, (self._clock.now_ms() - newest_ms) / 1000)
        if self._missing is not None:
            self._missing.observe(outcome.frames)
            self._counters.missing_events = self._missing.count

    def look(self) -> None:
        """Look up the partitions' ends every ``LAG_SECONDS``, and only if the metrics were scraped since."""
        if self._was_assigned:
            self._was_assigned = False
            self._count_missing_events()
        now = self._clock.monotonic()
        if not self._counters.watched or now < self._look_at:
            return
        self._look_at = now + LAG_SECONDS
        self._counters.watched = False
        assigned = self._reader.assignment()
        try:
            ends = self._reader.end_offsets(assigned)
            positions = {tp: self._reader.position(tp) for tp in assigned}
        except TransportError:
            return  # a missing metric must not end the service; the next poll raises a lasting error
        self._counters.lag = {tp: max(0, end - positions[tp]) for tp, end in ends.items()}

    def _count_missing_events(self) -> None:
        """Count missing events if all partitions are ours: an event may be in any of them."""
        try:
            whole = self._counters.assigned.issuperset(self._reader.partitions_of(self._topic))
        except TransportError:
            whole = False
        self._missing = MissingEvents() if whole else None
        self._counters.missing_events = 0 if whole else None
