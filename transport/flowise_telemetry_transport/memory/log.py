"""The data that a cluster stores: the logs of partitions, and groups with their members and offsets. Not locked."""

from __future__ import annotations

from dataclasses import dataclass, field

from flowise_telemetry_transport.types import Record, TopicPartition

__all__ = ["Group", "PartitionLog"]


@dataclass(slots=True)
class PartitionLog:
    """Records by offset. A missing offset is a gap, as compaction and transaction markers leave them.

    ``held_at`` is the first offset of an open transaction: readers get nothing from there on.
    """

    records: dict[int, Record] = field(default_factory=dict)
    broken: set[int] = field(default_factory=set)
    begin: int = 0
    end: int = 0
    held_at: int | None = None

    @property
    def stable(self) -> int:
        """The offset after the last record that readers get (Kafka's last stable offset)."""
        return self.end if self.held_at is None else min(self.held_at, self.end)

    def append(self, record: Record) -> None:
        """Add a record that was made for offset ``end``."""
        self.records[self.end] = record
        self.end += 1

    def past_gap(self, offset: int) -> int:
        """Return the first offset at or after ``offset`` that has a record, or the end of what readers get."""
        offset = max(offset, self.begin)
        while offset < self.stable and offset not in self.records:
            offset += 1
        return offset

    def first_of_time(self, time_ms: int) -> int | None:
        """Return the first offset whose record is of that time or later."""
        there = (offset for offset in sorted(self.records) if offset >= self.begin)
        return next((offset for offset in there if self.records[offset].timestamp_ms >= time_ms), None)


@dataclass(slots=True)
class Group:
    """A consumer group with eager rebalancing: all members give up all partitions, then all are assigned some.

    ``members`` maps a member's number to its topics. A rebalance ends once all of them are in ``joined``.
    """

    committed: dict[TopicPartition, int] = field(default_factory=dict)
    metadata: dict[TopicPartition, str] = field(default_factory=dict)
    members: dict[int, frozenset[str]] = field(default_factory=dict)
    generation: int = 0
    joined: set[int] = field(default_factory=set)

    def rebalance(self) -> None:
        """Start a new generation."""
        self.generation += 1
        self.joined.clear()

    @property
    def stable(self) -> bool:
        """True once every member has given up its partitions of the previous generation."""
        return self.joined.issuperset(self.members)

    def share_of(self, member: int, partitions: dict[str, int]) -> frozenset[TopicPartition]:
        """Return a member's partitions: every n-th of each topic."""
        mine = set()
        for topic in self.members[member]:
            rivals = sorted(other for other, topics in self.members.items() if topic in topics)
            for number in range(rivals.index(member), partitions.get(topic, 0), len(rivals)):
                mine.add(TopicPartition(topic, number))
        return frozenset(mine)
