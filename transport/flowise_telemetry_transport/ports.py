"""The seam: what the rest of the project knows of Kafka.

Three Protocols, one adapter per client for each, and an in-memory broker for tests. Their contract is the test-suite
``tests/transport/test_contract.py``, which runs on all of them. None of these objects may be shared between threads,
except that ``RecordWriter.send`` may be called from several.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from flowise_telemetry_transport.types import OnDelivery, OutgoingRecord, Record, TopicPartition, TopicSpec

__all__ = ["RebalanceCallback", "RecordReader", "RecordWriter", "TopicAdmin"]

RebalanceCallback = Callable[[Collection[TopicPartition]], None]


class RecordReader(Protocol):
    """Reads records, either as a member of a consumer group (``subscribe``) or alone (``assign``)."""

    def subscribe(
        self,
        topics: Sequence[str],
        *,
        on_assigned: RebalanceCallback | None = None,
        on_revoked: RebalanceCallback | None = None,
    ) -> None:
        """Joins the group given at opening; partitions start at the committed offset, else at the earliest.

        ``on_revoked`` runs inside ``poll`` before the partitions are given up: there is time for a flush and a
        ``commit``, within the session timeout. ``on_assigned`` runs inside ``poll`` after. What either raises comes
        out of that
        ``poll``, also where the client itself would swallow it. Pauses do not outlive a reassignment.
        """

    def rejoin(self) -> None:
        """Gives up all partitions, without ``on_revoked``, and joins the group again: ``on_assigned`` tells the rest.

        For a member that has found out that it is no longer the one. What it had polled it may not commit.
        """

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        """Reads exactly these partitions from exactly these offsets; no group is involved."""

    def assignment(self) -> frozenset[TopicPartition]:
        """The partitions read now; empty before the first rebalance is through."""

    def poll(self, *, timeout_seconds: float, max_records: int) -> list[Record]:
        """At most ``max_records`` records, in offset order within a partition; empty when the time is up.

        Raises ``UnreadableRecordError`` (with partition and offset) for a record that the client cannot parse; the
        position
        stays on it until ``seek`` steps over it. Raises other ``TransportError``; an unreachable cluster is no error
        here: the
        client goes on trying and this returns no records.
        """

    def position(self, partition: TopicPartition) -> int:
        """The offset of the next record that ``poll`` will return, past gaps that the client has seen."""

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """The next ``poll`` reads this partition from ``offset``."""

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        """``poll`` returns nothing of these, and still heartbeats. Nothing already fetched is lost."""

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        """``poll`` goes on exactly after the last record that it returned."""

    def commit(self, offsets: Mapping[TopicPartition, int], *, timeout_seconds: float) -> None:
        """Commits next offsets for the group and returns when the coordinator has them.

        Raises ``CommitRejectedError`` when the partitions are no longer ours, ``BrokerUnavailableError`` when the
        time is up.
        """

    def committed(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int | None]:
        """The group's committed next offsets; None where there is none."""

    def partitions_of(self, topic: str) -> tuple[TopicPartition, ...]:
        """All partitions of a topic, ascending. Raises ``UnknownTopicError`` or ``BrokerUnavailableError``."""

    def beginning_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The first offset that is still there."""

    def end_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset after the last record."""

    def offsets_for_times(self, times_ms: Mapping[TopicPartition, int]) -> dict[TopicPartition, int | None]:
        """Per partition the first offset whose record is of that time (milliseconds since 1970) or later.

        None where there is no such record, and where the cluster cannot tell. Records after it may be older, as
        timestamps may run backwards; none before it is of that time.
        """

    def topic_id(self, topic: str) -> str | None:
        """What tells a topic from a later one of the same name (KIP-516); None where this cannot be had."""

    def close(self, *, timeout_seconds: float = 10.0) -> None:
        """Leaves the group. Does not commit, does not call ``on_revoked``, returns within the time."""


class RecordWriter(Protocol):
    """Writes records with acks=all and bounded retries, in order."""

    def send(self, record: OutgoingRecord, on_delivery: OnDelivery) -> None:
        """Hands a record to the client. ``on_delivery`` is called once, in ``poll``, ``flush`` or the client's thread.

        Raises ``BufferFullError`` (nothing taken), ``MessageTooLargeError``, or ``BrokerUnavailableError`` when
        there is no
        metadata for the topic yet and none can be had within the client's block time.
        """

    def poll(self) -> None:
        """Serves delivery callbacks that are due, without waiting."""

    def flush(self, *, timeout_seconds: float) -> int:
        """Waits until every record has had its callback; returns how many have not when the time is up."""

    def close(self, *, timeout_seconds: float) -> None:
        """Flushes within the time and lets go of everything; what is unacknowledged then fails in its callback."""


class TopicAdmin(Protocol):
    """Looks at topics and makes them."""

    def topics(self) -> dict[str, int]:
        """Topic names and how many partitions each has, without Kafka's internal ones."""

    def create_topic(self, spec: TopicSpec) -> None:
        """Creates a topic and returns when it is there. Raises ``TopicExistsError``, ``TransportError``."""

    def settings_of(self, topic: str) -> dict[str, str]:
        """A topic's settings such as ``retention.ms``, the broker's defaults included. Raises ``UnknownTopicError``.

        Empty where the cluster does not tell.
        """

    def cluster_id(self) -> str | None:
        """What tells a cluster from another, whichever of its brokers is asked (KIP-78); None where it has none.

        Two clusters that were made from the same files may have the same.
        """

    def close(self) -> None:
        """Lets go of the connection."""
