"""The state of the in-memory cluster, its injected faults included."""

from __future__ import annotations

import itertools
import threading
import uuid
from collections.abc import Callable

from flowise_telemetry_transport.errors import (
    BrokerUnavailableError,
    MessageTooLargeError,
    TopicExistsError,
    TransportError,
    UnknownTopicError,
)
from flowise_telemetry_transport.memory.log import Group, PartitionLog
from flowise_telemetry_transport.partitioning import partition_for
from flowise_telemetry_transport.types import Delivery, OutgoingRecord, Record, TopicPartition, TopicSpec

__all__ = ["Cluster"]


class Cluster:
    """Topics, groups and faults, shared by the readers, writers and admins of one ``InMemoryBroker``.

    ``changed`` is the only lock; hold it for every call. It is notified when a waiting reader or writer may have work.
    """

    def __init__(self, *, default_partitions: int | None, now_ms: Callable[[], int]) -> None:
        self.id: str | None = uuid.uuid4().hex
        self.changed = threading.Condition(threading.RLock())
        self.groups: dict[str, Group] = {}
        self.down = False
        self.delivery_failures: list[TransportError] = []
        self.commit_rejections = 0
        self._default_partitions = default_partitions
        self._now_ms = now_ms
        self._logs: dict[str, list[PartitionLog]] = {}
        self._settings: dict[str, dict[str, str]] = {}
        self._topic_ids: dict[str, str] = {}
        self._topics_made = itertools.count(1)
        self._keyless = itertools.count()

    def check_up(self) -> None:
        """Raise ``BrokerUnavailableError`` while the cluster is down."""
        if self.down:
            raise BrokerUnavailableError("the in-memory broker is down")

    def log(self, partition: TopicPartition) -> PartitionLog:
        """Return a partition's log. Raises ``UnknownTopicError``."""
        logs = self._logs.get(partition.topic, [])
        if not 0 <= partition.partition < len(logs):
            raise UnknownTopicError(
                f"{partition.topic}[{partition.partition}] does not exist",
                topic=partition.topic,
                partition=partition.partition,
            )
        return logs[partition.partition]

    def topic_id(self, topic: str) -> str | None:
        """Return the id that this topic got when it was created, or None if there is no such topic."""
        return self._topic_ids.get(topic)

    def settings_of(self, topic: str) -> dict[str, str]:
        """Return the settings that the topic was created with. Raises ``UnknownTopicError``."""
        if topic not in self._settings:
            raise UnknownTopicError(f"topic {topic} does not exist", topic=topic)
        return dict(self._settings[topic])

    def partition_counts(self) -> dict[str, int]:
        """Return the number of partitions of each topic."""
        return {topic: len(logs) for topic, logs in self._logs.items()}

    def add_topic(self, spec: TopicSpec) -> None:
        """Create a topic; groups subscribed to it rebalance. Raises ``TopicExistsError``."""
        if spec.name in self._logs:
            raise TopicExistsError(f"topic {spec.name} exists", topic=spec.name)
        self._logs[spec.name] = [PartitionLog() for _ in range(spec.partitions)]
        self._topic_ids[spec.name] = f"{self.id}-{next(self._topics_made)}"
        self._settings[spec.name] = dict(spec.configs)
        for group in self.groups.values():
            if any(spec.name in topics for topics in group.members.values()):
                group.rebalance()
        self.changed.notify_all()

    def recreate_topic(self, topic: str) -> None:
        """Delete a topic and create it again: empty, with a new id, and with default settings."""
        self.add_topic(TopicSpec(topic, len(self._logs.pop(topic))))

    def append(self, outgoing: OutgoingRecord, size_bytes: int) -> Delivery:
        """Store a record. Raises the ``TransportError`` that its delivery fails with."""
        topic = outgoing.topic
        if self.delivery_failures:
            raise self.delivery_failures.pop(0)
        if topic not in self._logs:
            if self._default_partitions is None:
                raise UnknownTopicError(f"topic {topic} does not exist", topic=topic)
            self.add_topic(TopicSpec(topic, self._default_partitions))
        max_bytes = self._settings[topic].get("max.message.bytes")
        if max_bytes is not None and size_bytes > int(max_bytes):
            raise MessageTooLargeError(f"record of {size_bytes} bytes for {topic}", topic=topic)
        number = self._partition_of(outgoing)
        log = self.log(TopicPartition(topic, number))
        offset = log.end
        log.append(
            Record(
                topic=topic,
                partition=number,
                offset=offset,
                timestamp_ms=self._now_ms() if outgoing.timestamp_ms is None else outgoing.timestamp_ms,
                key=outgoing.key,
                value=outgoing.value,
                headers=outgoing.headers,
            )
        )
        self.changed.notify_all()
        return Delivery(topic, number, offset)

    def _partition_of(self, outgoing: OutgoingRecord) -> int:
        if outgoing.partition is not None:
            return outgoing.partition
        count = len(self._logs[outgoing.topic])
        return next(self._keyless) % count if outgoing.key is None else partition_for(outgoing.key, count)

    def group(self, name: str) -> Group:
        """Return the group of that name, created on first use."""
        return self.groups.setdefault(name, Group())

    def leave(self, group: str | None, member: int) -> None:
        """Remove a member from its group, which then rebalances."""
        if group is not None and self.group(group).members.pop(member, None) is not None:
            self.group(group).rebalance()
            self.changed.notify_all()

    def take_commit_rejection(self) -> bool:
        """Return whether to reject this commit, and count that rejection down."""
        if self.commit_rejections == 0:
            return False
        self.commit_rejections -= 1
        return True
