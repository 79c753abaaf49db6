"""The in-memory broker: opens readers, writers and admins, and injects faults on request."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Mapping

from flowise_telemetry_transport.errors import DeliveryError, TransportError
from flowise_telemetry_transport.memory.admin import InMemoryAdmin
from flowise_telemetry_transport.memory.cluster import Cluster
from flowise_telemetry_transport.memory.log import Group, PartitionLog
from flowise_telemetry_transport.memory.reader import InMemoryReader
from flowise_telemetry_transport.memory.writer import InMemoryWriter
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["InMemoryBroker"]


class InMemoryBroker:
    """A broker of Python objects for tests. Readers, writers and admins of one may be used from different threads.

    ``default_partitions`` is the number of partitions of a topic that is created by its first record; None makes an
    unknown topic an error. ``now_ms`` dates records that carry no timestamp.

    Faults: ``down`` (while True, the broker answers nothing), ``fail_next_deliveries``, ``reject_next_commits``,
    ``clear_faults``, ``evict``, ``break_record``, ``remove_records``, ``truncate``, ``hold``, ``release``,
    ``recreate``.
    """

    def __init__(
        self,
        *,
        default_partitions: int | None = 4,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.cluster = Cluster(default_partitions=default_partitions, now_ms=now_ms)
        self._members = itertools.count(1)

    def open_reader(self, *, group: str | None = None) -> InMemoryReader:
        """Open a ``RecordReader``. Raises ``BrokerUnavailableError`` while the broker is down."""
        self.cluster.check_up()
        return InMemoryReader(self.cluster, group, next(self._members))

    def open_writer(self, *, max_record_bytes: int = 1_048_576, buffer_records: int = 100_000) -> InMemoryWriter:
        """Open a ``RecordWriter``; the broker need not be up."""
        return InMemoryWriter(self.cluster, max_record_bytes, buffer_records)

    def open_admin(self) -> InMemoryAdmin:
        """Open a ``TopicAdmin``. Raises ``BrokerUnavailableError`` while the broker is down."""
        self.cluster.check_up()
        return InMemoryAdmin(self.cluster)

    # -- looking inside

    @property
    def groups(self) -> Mapping[str, Group]:
        """The consumer groups by name."""
        return self.cluster.groups

    def group(self, name: str) -> Group:
        """Return the group of that name, created on first use."""
        return self.cluster.group(name)

    def log(self, partition: TopicPartition) -> PartitionLog:
        """Return a partition's log. Raises ``UnknownTopicError``."""
        return self.cluster.log(partition)

    def topic_id(self, topic: str) -> str | None:
        """Return the id that this topic got when it was created, or None if there is no such topic."""
        return self.cluster.topic_id(topic)

    def partition_counts(self) -> dict[str, int]:
        """Return the number of partitions of each topic."""
        return self.cluster.partition_counts()

    # -- faults

    @property
    def down(self) -> bool:
        """True while the broker answers nothing."""
        return self.cluster.down

    @down.setter
    def down(self, value: bool) -> None:
        with self.cluster.changed:
            self.cluster.down = value
            self.cluster.changed.notify_all()

    def fail_next_deliveries(self, error: TransportError | None = None, *, count: int = 1) -> None:
        """Refuse the next ``count`` records sent, with ``error`` (default: a ``DeliveryError``)."""
        with self.cluster.changed:
            self.cluster.delivery_failures += [error or DeliveryError("refused by the in-memory broker")] * count

    def reject_next_commits(self, count: int = 1) -> None:
        """Reject the next ``count`` commits with ``CommitRejectedError``."""
        with self.cluster.changed:
            self.cluster.commit_rejections += count

    def clear_faults(self) -> None:
        """Cancel pending ``fail_next_deliveries`` and ``reject_next_commits``."""
        with self.cluster.changed:
            self.cluster.delivery_failures.clear()
            self.cluster.commit_rejections = 0

    def evict(self, reader: InMemoryReader) -> None:
        """End a reader's membership as if its session had timed out: its commits fail until it polls and rejoins."""
        with self.cluster.changed:
            self.cluster.leave(reader.group, reader.member)

    def break_record(self, partition: TopicPartition, offset: int) -> None:
        """Make this record unreadable, as one that the client cannot parse."""
        with self.cluster.changed:
            self.cluster.log(partition).broken.add(offset)

    def remove_records(self, partition: TopicPartition, offsets: Iterable[int]) -> None:
        """Remove records and leave gaps, as compaction does."""
        with self.cluster.changed:
            log = self.cluster.log(partition)
            for offset in offsets:
                log.records.pop(offset, None)

    def truncate(self, partition: TopicPartition, before_offset: int) -> None:
        """Drop the records below an offset, as retention does."""
        with self.cluster.changed:
            log = self.cluster.log(partition)
            log.begin = max(log.begin, before_offset)

    def hold(self, partition: TopicPartition, at_offset: int) -> None:
        """Keep the records from this offset on from readers, as a transaction does that does not end."""
        with self.cluster.changed:
            self.cluster.log(partition).held_at = at_offset

    def release(self, partition: TopicPartition) -> None:
        """End the transaction of ``hold``."""
        with self.cluster.changed:
            self.cluster.log(partition).held_at = None
            self.cluster.changed.notify_all()

    def recreate(self, topic: str) -> None:
        """Delete a topic and create it again, empty."""
        with self.cluster.changed:
            self.cluster.recreate_topic(topic)
