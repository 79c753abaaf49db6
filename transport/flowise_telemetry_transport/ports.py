"""The Kafka port: everything that the rest of the project knows of Kafka.

Three Protocols, with one adapter per client. ``InMemoryBroker`` fulfils them too, without a cluster: you may use it in
the tests of your own app or sink. The contract is the test suite in ``tests/transport``, which runs on each client and
on the in-memory broker. None of these objects may be shared between threads, except that ``RecordWriter.send`` may be
called from several.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from flowise_telemetry_transport.types import (
    Commit,
    ExpiredOffsets,
    OnCommitted,
    OnDelivery,
    OutgoingRecord,
    Record,
    TopicPartition,
    TopicSpec,
)

__all__ = ["RebalanceCallback", "RecordReader", "RecordWriter", "TopicAdmin"]

RebalanceCallback = Callable[[Collection[TopicPartition]], None]


class RecordReader(Protocol):
    """Reads records, either as a member of a consumer group (``subscribe``) or on its own (``assign``)."""

    def subscribe(
        self,
        topics: Sequence[str],
        *,
        on_assigned: RebalanceCallback | None = None,
        on_revoked: RebalanceCallback | None = None,
    ) -> None:
        """Join the group given at opening; partitions start at the committed offset, else at the earliest.

        ``on_revoked`` runs inside ``poll`` before the partitions are given up: a flush and a ``commit`` must fit into
        the session timeout. ``on_assigned`` runs inside ``poll`` after the rebalance. An exception in either is raised
        by that ``poll``, even where the client would swallow it. Both get the partitions that move: all, unless the
        group rebalances cooperatively (KIP-429, KIP-848). What moves is not paused afterwards.
        """

    def rejoin(self) -> None:
        """Give up all partitions, without ``on_revoked``, and join the group again; ``on_assigned`` follows.

        For a member that was fenced: another member has claimed its partitions. It must not commit what it polled.
        """

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        """Read exactly these partitions from exactly these offsets; no group is involved."""

    def assignment(self) -> frozenset[TopicPartition]:
        """Return the partitions being read; empty until the first rebalance has ended."""

    def poll(self, *, timeout_seconds: float, max_records: int) -> list[Record]:
        """Return at most ``max_records``, in offset order within a partition; an empty list on timeout.

        Raises ``UnreadableRecordError`` (with partition and offset) for a record that the client cannot parse; the
        position stays there until a ``seek`` past it. Raises other ``TransportError``, but not for an unreachable
        cluster: the client keeps trying, and the list is empty.
        """

    def position(self, partition: TopicPartition) -> int:
        """Return the offset of the next record that ``poll`` will return, past gaps that the client has seen."""

    def known_positions(self) -> dict[TopicPartition, int]:
        """Return the positions that need no request to the cluster: of every partition that was read or sought."""

    def expired(self) -> list[ExpiredOffsets]:
        """Return, once, the offsets that ``poll`` went past because the log no longer has them.

        Up to the next offset that is there: as many records as that at most, since offsets may have been gaps.
        """

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Make the next ``poll`` read this partition from ``offset``."""

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        """Make ``poll`` return nothing from these partitions; it still sends heartbeats. Nothing fetched is lost."""

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        """Make ``poll`` continue exactly after the last record that it returned."""

    def commit(self, offsets: Mapping[TopicPartition, int], *, timeout_seconds: float) -> None:
        """Commit next offsets for the group; return once the coordinator has stored them.

        Each carries its text of ``set_commit_metadata``. Raises ``CommitRejectedError`` if the partitions are no longer
        assigned to this reader, ``BrokerUnavailableError`` on timeout.
        """

    def begin_commit(
        self, offsets: Mapping[TopicPartition, int], on_done: OnCommitted, *, timeout_seconds: float
    ) -> None:
        """Commit next offsets, as ``commit`` does, without waiting for the answer if the client can do that.

        ``on_done`` is called inside this call or a later ``poll``, with the error of ``commit`` if it failed; not if
        the brokers stay away. ``timeout_seconds`` bounds the wait of a client that has to wait.
        """

    def set_commit_metadata(self, metadata: Mapping[TopicPartition, str]) -> None:
        """Set the texts that later commits of these partitions carry, of less than 4 KiB; replaces all earlier ones."""

    def commits(
        self, partitions: Collection[TopicPartition], *, timeout_seconds: float | None = None
    ) -> dict[TopicPartition, Commit | None]:
        """Return the group's committed next offsets with their texts; None if there is none.

        ``timeout_seconds`` bounds this look-up and those below that take it; without it, the request timeout bounds
        each of their requests. Raises ``BrokerUnavailableError`` on timeout.
        """

    def committed(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int | None]:
        """Return the group's committed next offsets; None if there is none."""

    def partitions_of(self, topic: str) -> tuple[TopicPartition, ...]:
        """Return all partitions of a topic, ascending. Raises ``UnknownTopicError`` or ``BrokerUnavailableError``."""

    def beginning_offsets(
        self, partitions: Collection[TopicPartition], *, timeout_seconds: float | None = None
    ) -> dict[TopicPartition, int]:
        """Return the first offset that still exists, per partition."""

    def end_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the offset after the last record that ``poll`` returns, per partition.

        Records after the first open transaction are not among them where the client reads committed records only.
        """

    def high_watermarks(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the offset after the last record, those of open transactions and after them included."""

    def offsets_for_times(self, times_ms: Mapping[TopicPartition, int]) -> dict[TopicPartition, int | None]:
        """Return per partition the first offset whose record is of that time (milliseconds since 1970) or later.

        None if there is no such record, or if the cluster does not support the look-up. Timestamps may run backwards: a
        record after that offset may be older, but no record before it is of that time or later.
        """

    def topic_id(self, topic: str, *, timeout_seconds: float | None = None) -> str | None:
        """Return the topic's id (KIP-516), which differs once a topic is recreated; None if it is not available."""

    def close(self, *, timeout_seconds: float = 10.0) -> None:
        """Leave the group and disconnect. Does not commit or call ``on_revoked``; returns within the time."""


class RecordWriter(Protocol):
    """Writes records with acks=all and bounded retries, in order."""

    def send(self, record: OutgoingRecord, on_delivery: OnDelivery) -> None:
        """Hand a record to the client. ``on_delivery`` is called once, in ``poll``, ``flush`` or the client's thread.

        Raises ``BufferFullError`` (the record was not taken), ``MessageTooLargeError``, or ``BrokerUnavailableError``
        if there is no metadata for the topic and none arrives within the writer's ``block_seconds``.
        """

    def poll(self) -> None:
        """Run the delivery callbacks that are due, without waiting."""

    def flush(self, *, timeout_seconds: float) -> int:
        """Wait until every record has had its callback; return how many still have not on timeout."""

    def close(self, *, timeout_seconds: float) -> None:
        """Flush within the time and disconnect; records that are unacknowledged by then fail in their callbacks."""


class TopicAdmin(Protocol):
    """Inspects and creates topics."""

    def topics(self) -> dict[str, int]:
        """Return the number of partitions of each topic, without Kafka's internal topics."""

    def create_topic(self, spec: TopicSpec) -> None:
        """Create a topic; return once its partitions have leaders. Raises ``TopicExistsError``, ``TransportError``."""

    def settings_of(self, topic: str) -> dict[str, str]:
        """Return a topic's settings such as ``retention.ms``, the broker's defaults included.

        Empty if the cluster does not support the request. Raises ``UnknownTopicError``.
        """

    def cluster_id(self) -> str | None:
        """Return the cluster's id, the same from each of its brokers (KIP-78); None if it has none.

        A cluster that was restored from another's files has the same id.
        """

    def close(self) -> None:
        """Disconnect."""
