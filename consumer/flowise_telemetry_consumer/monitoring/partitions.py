"""What an operator wants to know beyond the counts: partitions, lag, how late events are, and which are missing."""

from __future__ import annotations

from collections.abc import Collection

from flowise_telemetry_consumer.clock import Clock
from flowise_telemetry_consumer.monitoring.counters import BatchOutcome, Progress
from flowise_telemetry_consumer.monitoring.missing_events import MissingEvents
from flowise_telemetry_transport.errors import TransportError
from flowise_telemetry_transport.ports import RecordReader
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["LAG_SECONDS", "PartitionMonitor"]

LAG_SECONDS = 15.0
"""How often the ends of the partitions are asked for, while anyone wants to know."""


class PartitionMonitor:
    """Keeps that part of ``Progress`` up to date, on the consumer's thread."""

    def __init__(self, reader: RecordReader, progress: Progress, clock: Clock, *, topic: str) -> None:
        self._reader = reader
        self._progress = progress
        self._clock = clock
        self._topic = topic
        self._look_at = 0.0
        self._assigned_anew = False
        self._missing: MissingEvents | None = None

    def assigned(self, partitions: Collection[TopicPartition]) -> None:
        """These are ours now."""
        self._progress.rebalances += 1
        self._progress.assigned |= frozenset(partitions)
        self._assigned_anew = True  # what that means is looked at later: no questions to the brokers in a rebalance

    def revoked(self, partitions: Collection[TopicPartition]) -> None:
        """These no longer."""
        progress = self._progress
        progress.assigned -= frozenset(partitions)
        progress.lag = {tp: lag for tp, lag in progress.lag.items() if tp in progress.assigned}
        self._missing = progress.missing_events = None

    def count(self, outcome: BatchOutcome) -> None:
        """A batch is through."""
        newest = [moment for frame in outcome.frames.values() if (moment := frame["occurred_at"].max()) is not None]
        if newest:
            newest_ms = max(moment.timestamp() for moment in newest) * 1000  # type: ignore[union-attr]  # datetimes
            self._progress.event_age_seconds = max(0.0, (self._clock.now_ms() - newest_ms) / 1000)
        if self._missing is not None:
            self._missing.observe(outcome.frames)
            self._progress.missing_events = self._missing.count

    def look(self) -> None:
        """Asks how far the partitions go, now and then, and only while someone asks for the metrics."""
        if self._assigned_anew:
            self._assigned_anew = False
            self._whole_topic_or_not()
        now = self._clock.monotonic()
        if not self._progress.watched or now < self._look_at:
            return
        self._look_at = now + LAG_SECONDS
        self._progress.watched = False
        assigned = self._reader.assignment()
        try:
            ends = self._reader.end_offsets(assigned)
            positions = {tp: self._reader.position(tp) for tp in assigned}
        except TransportError:
            return  # a number that is missing ends no service; what stays wrong, poll will meet
        self._progress.lag = {tp: max(0, end - positions[tp]) for tp, end in ends.items()}

    def _whole_topic_or_not(self) -> None:
        """An event may lie in any partition: only who reads them all can tell that one is nowhere."""
        try:
            whole = self._progress.assigned.issuperset(self._reader.partitions_of(self._topic))
        except TransportError:
            whole = False
        self._missing = MissingEvents() if whole else None
        self._progress.missing_events = 0 if whole else None
