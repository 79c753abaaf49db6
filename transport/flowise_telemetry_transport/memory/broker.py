"""The in-memory broker, and the faults it can be told to have."""

from __future__ import annotations

import itertools
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from flowise_telemetry_transport.errors import (
    BrokerUnavailableError,
    DeliveryError,
    MessageTooLargeError,
    TopicExistsError,
    TransportError,
    UnknownTopicError,
)
from flowise_telemetry_transport.memory.log import Group, PartitionLog
from flowise_telemetry_transport.partitioning import partition_for
from flowise_telemetry_transport.types import Delivery, OutgoingRecord, Record, TopicPartition, TopicSpec

if TYPE_CHECKING:
    from flowise_telemetry_transport.memory.reader import InMemoryReader
    from flowise_telemetry_transport.memory.writer import InMemoryWriter

__all__ = ["InMemoryBroker"]


class InMemoryBroker:
    """Open readers, writers and admins on one of these; they may be used from different threads.

    ``default_partitions`` is what a topic gets that is made by its first record; None makes an unknown topic an error.
    ``now_ms`` dates records that carry no timestamp.

    Faults: ``down`` (set it and no one gets an answer), ``fail_next_deliveries``, ``reject_next_commits``,
    ``evict`` (as if a member's session had run out), ``break_record``, ``remove_records``, ``truncate``,
    ``recreate``.
    """

    def __init__(
        self,
        *,
        default_partitions: int | None = 4,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.cluster_id = uuid.uuid4().hex
        self.changed = threading.Condition(threading.RLock())
        self.groups: dict[str, Group] = {}
        self._default_partitions = default_partitions
        self._now_ms = now_ms
        self._logs: dict[str, list[PartitionLog]] = {}
        self._settings: dict[str, dict[str, str]] = {}
        self._ids: dict[str, str] = {}
        self._made = itertools.count(1)
        self._max_bytes: dict[str, int] = {}
        self._keyless = itertools.count()
        self._members = itertools.count(1)
        self._down = False
        self._delivery_failures: list[TransportError] = []
        self._rejected_commits = 0

    def open_reader(self, *, group: str | None = None) -> InMemoryReader:
        """A ``RecordReader``; raises ``BrokerUnavailableError`` while the broker is down."""
        from flowise_telemetry_transport.memory.reader import InMemoryReader

        self.check_up()
        return InMemoryReader(self, group, next(self._members))

    def open_writer(self, *, max_record_bytes: int = 1_048_576, buffer_records: int = 100_000) -> InMemoryWriter:
        """A ``RecordWriter``; the broker need not be up."""
        from flowise_telemetry_transport.memory.writer import InMemoryWriter

        return InMemoryWriter(self, max_record_bytes, buffer_records)

    def open_admin(self) -> InMemoryAdmin:
        """A ``TopicAdmin``; raises ``BrokerUnavailableError`` while the broker is down."""
        self.check_up()
        return InMemoryAdmin(self)

    # -- faults

    @property
    def down(self) -> bool:
        """Whether the broker gives no answers."""
        return self._down

    @down.setter
    def down(self, value: bool) -> None:
        with self.changed:
            self._down = value
            self.changed.notify_all()

    def fail_next_deliveries(self, error: TransportError | None = None, *, count: int = 1) -> None:
        """The next ``count`` records sent are refused with ``error`` (default: ``DeliveryError``)."""
        with self.changed:
            self._delivery_failures.extend([error or DeliveryError("refused by the in-memory broker")] * count)

    def reject_next_commits(self, count: int = 1) -> None:
        """The next ``count`` commits raise ``CommitRejectedError``."""
        with self.changed:
            self._rejected_commits += count

    def evict(self, reader: InMemoryReader) -> None:
        """Ends a reader's membership behind its back; its commits are rejected until it has polled and joined again."""
        with self.changed:
            self.leave(reader.group, reader.member)

    def break_record(self, partition: TopicPartition, offset: int) -> None:
        """From now on this record is one that the client cannot parse."""
        with self.changed:
            self.log(partition).broken.add(offset)

    def remove_records(self, partition: TopicPartition, offsets: Iterable[int]) -> None:
        """Leaves a gap, as compaction does."""
        with self.changed:
            log = self.log(partition)
            for offset in offsets:
                log.records.pop(offset, None)

    def truncate(self, partition: TopicPartition, before_offset: int) -> None:
        """Drops what is older, as retention does."""
        with self.changed:
            log = self.log(partition)
            log.begin = max(log.begin, before_offset)

    def recreate(self, topic: str) -> None:
        """Deletes a topic and makes it again, empty."""
        with self.changed:
            self.add_topic(TopicSpec(topic, len(self._logs.pop(topic))))

    # -- what readers, writers and admins do, inside ``changed``

    def check_up(self) -> None:
        """Raises ``BrokerUnavailableError`` while down."""
        if self._down:
            raise BrokerUnavailableError("no broker answers at the in-memory broker")

    def log(self, partition: TopicPartition) -> PartitionLog:
        """A partition's log; raises ``UnknownTopicError``."""
        logs = self._logs.get(partition.topic, [])
        if not 0 <= partition.partition < len(logs):
            raise UnknownTopicError(
                f"{partition.topic}[{partition.partition}] does not exist",
                topic=partition.topic,
                partition=partition.partition,
            )
        return logs[partition.partition]

    def topic_id(self, topic: str) -> str | None:
        """One for each topic that was ever made; None where there is none of that name."""
        return self._ids.get(topic)

    def settings_of(self, topic: str) -> dict[str, str]:
        """What the topic was made with."""
        return dict(self._settings[topic])

    def partition_counts(self) -> dict[str, int]:
        """How many partitions each topic has."""
        return {topic: len(logs) for topic, logs in self._logs.items()}

    def add_topic(self, spec: TopicSpec) -> None:
        """Makes a topic; raises ``TopicExistsError``."""
        if spec.name in self._logs:
            raise TopicExistsError(f"topic {spec.name} exists", topic=spec.name)
        self._logs[spec.name] = [PartitionLog() for _ in range(spec.partitions)]
        self._ids[spec.name] = f"{self.cluster_id}-{next(self._made)}"
        self._settings[spec.name] = dict(spec.configs)
        limit = dict(spec.configs).get("max.message.bytes")
        if limit is not None:
            self._max_bytes[spec.name] = int(limit)
        for group in self.groups.values():
            if any(spec.name in topics for topics in group.members.values()):
                group.rebalance()
        self.changed.notify_all()

    def append(self, outgoing: OutgoingRecord, size_bytes: int) -> Delivery:
        """Stores a record; raises what the delivery fails with."""
        if self._delivery_failures:
            raise self._delivery_failures.pop(0)
        if outgoing.topic not in self._logs:
            if self._default_partitions is None:
                raise UnknownTopicError(f"topic {outgoing.topic} does not exist", topic=outgoing.topic)
            self.add_topic(TopicSpec(outgoing.topic, self._default_partitions))
        if size_bytes > self._max_bytes.get(outgoing.topic, size_bytes):
            raise MessageTooLargeError(f"record of {size_bytes} bytes for {outgoing.topic}", topic=outgoing.topic)
        count = len(self._logs[outgoing.topic])
        if outgoing.partition is not None:
            number = outgoing.partition
        elif outgoing.key is not None:
            number = partition_for(outgoing.key, count)
        else:
            number = next(self._keyless) % count
        log = self.log(TopicPartition(outgoing.topic, number))
        offset = log.end
        log.append(
            Record(
                topic=outgoing.topic,
                partition=number,
                offset=offset,
                timestamp_ms=self._now_ms() if outgoing.timestamp_ms is None else outgoing.timestamp_ms,
                key=outgoing.key,
                value=outgoing.value,
                headers=outgoing.headers,
            )
        )
        self.changed.notify_all()
        return Delivery(outgoing.topic, number, offset)

    def group(self, name: str) -> Group:
        """The group of that name, made on first use."""
        return self.groups.setdefault(name, Group())

    def leave(self, group: str | None, member: int) -> None:
        """Takes a member out of its group."""
        if group is not None and self.group(group).members.pop(member, None) is not None:
            self.group(group).rebalance()
            self.changed.notify_all()

    def take_commit_rejection(self) -> bool:
        """Whether this commit is one of those to be rejected."""
        if self._rejected_commits == 0:
            return False
        self._rejected_commits -= 1
        return True


class InMemoryAdmin:
    """A ``TopicAdmin`` on an in-memory broker."""

    def __init__(self, broker: InMemoryBroker) -> None:
        self._broker = broker

    def topics(self) -> dict[str, int]:
        """See ``TopicAdmin``."""
        with self._broker.changed:
            self._broker.check_up()
            return self._broker.partition_counts()

    def create_topic(self, spec: TopicSpec) -> None:
        """See ``TopicAdmin``; of the configs, ``max.message.bytes`` is kept."""
        with self._broker.changed:
            self._broker.check_up()
            self._broker.add_topic(spec)

    def settings_of(self, topic: str) -> dict[str, str]:
        """See ``TopicAdmin``; those that the topic was made with."""
        with self._broker.changed:
            self._broker.check_up()
            if topic not in self._broker.partition_counts():
                raise UnknownTopicError(f"topic {topic} does not exist", topic=topic)
            return self._broker.settings_of(topic)

    def cluster_id(self) -> str | None:
        """See ``TopicAdmin``."""
        with self._broker.changed:
            self._broker.check_up()
            return self._broker.cluster_id

    def close(self) -> None:
        """See ``TopicAdmin``."""
