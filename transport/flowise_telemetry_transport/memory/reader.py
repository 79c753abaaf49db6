"""Reading from the in-memory broker."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence

from flowise_telemetry_schemas.errors import ConfigurationError
from flowise_telemetry_transport.committing import commit_and_tell
from flowise_telemetry_transport.errors import (
    CommitRejectedError,
    UnknownTopicError,
    check_assigned,
    check_commit,
    unreadable,
)
from flowise_telemetry_transport.memory.cluster import Cluster
from flowise_telemetry_transport.memory.log import Group
from flowise_telemetry_transport.ports import RebalanceCallback
from flowise_telemetry_transport.types import Commit, ExpiredOffsets, OnCommitted, Record, TopicPartition

__all__ = ["InMemoryReader"]


class InMemoryReader:
    """A ``RecordReader``. A rebalance ends once every member of the group has polled: no session times out."""

    def __init__(self, cluster: Cluster, group: str | None, member: int) -> None:
        self.group = group
        self.member = member
        self._cluster = cluster
        self._topics: frozenset[str] | None = None
        self._on_assigned: RebalanceCallback | None = None
        self._on_revoked: RebalanceCallback | None = None
        self._generation = 0
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._commit_metadata: dict[TopicPartition, str] = {}
        self._expired: list[ExpiredOffsets] = []
        self._turn = 0

    def subscribe(
        self,
        topics: Sequence[str],
        *,
        on_assigned: RebalanceCallback | None = None,
        on_revoked: RebalanceCallback | None = None,
    ) -> None:
        """See ``RecordReader``."""
        if self.group is None:
            raise ConfigurationError("subscribe needs a reader that was opened with a group")
        self._topics = frozenset(topics)
        self._on_assigned, self._on_revoked = on_assigned, on_revoked

    def rejoin(self) -> None:
        """See ``RecordReader``."""
        with self._cluster.changed:
            self._cluster.leave(self.group, self.member)
        self.assign({})

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        """See ``RecordReader``."""
        self._positions = dict(positions)
        self._paused.clear()

    def assignment(self) -> frozenset[TopicPartition]:
        """See ``RecordReader``."""
        return frozenset(self._positions)

    def poll(self, *, timeout_seconds: float, max_records: int) -> list[Record]:
        """See ``RecordReader``."""
        end = time.monotonic() + timeout_seconds
        while True:
            self._keep_membership()
            with self._cluster.changed:
                records = [] if self._cluster.down else self._take(max_records)
                remaining = end - time.monotonic()
                if records or remaining <= 0:
                    return records
                if not self._rebalancing():
                    self._cluster.changed.wait(remaining)

    def _own_group(self) -> Group | None:
        return None if self._topics is None or self.group is None else self._cluster.group(self.group)

    def _rebalancing(self) -> bool:
        """Return True if this member still has to act in a rebalance."""
        group = self._own_group()
        if group is None or self._cluster.down:
            return False
        known = self.member in group.members and self.member in group.joined
        return not known or (group.stable and self._generation != group.generation)

    def _keep_membership(self) -> None:
        """Join, give up and take over partitions; callbacks run without the cluster's lock."""
        group = self._own_group()
        if group is None or self._topics is None:
            return
        with self._cluster.changed:
            if self._cluster.down:
                return
            if group.members.get(self.member) != self._topics:
                group.members[self.member] = self._topics
                group.rebalance()
                self._cluster.changed.notify_all()
            leaving = self.assignment() if self.member not in group.joined else frozenset()
        try:
            if leaving and self._on_revoked is not None:
                self._on_revoked(leaving)
        finally:
            assigned: frozenset[TopicPartition] = frozenset()
            with self._cluster.changed:
                if self.member not in group.joined:
                    self.assign({})
                    group.joined.add(self.member)
                    self._cluster.changed.notify_all()
                if group.stable and self._generation != group.generation:
                    self._generation = group.generation
                    assigned = group.share_of(self.member, self._cluster.partition_counts())
                    self.assign({tp: group.committed.get(tp, self._cluster.log(tp).begin) for tp in assigned})
        if assigned and self._on_assigned is not None:
            self._on_assigned(assigned)

    def _take(self, max_records: int) -> list[Record]:
        taken: list[Record] = []
        order = sorted(self._positions)
        self._turn += 1
        for index in range(len(order)):
            tp = order[(index + self._turn) % len(order)]
            if tp in self._paused:
                continue
            log = self._cluster.log(tp)
            while len(taken) < max_records:
                if self._positions[tp] < log.begin:
                    self._expired.append(ExpiredOffsets(tp, self._positions[tp], log.begin))
                offset = self._positions[tp] = log.past_gap(self._positions[tp])
                if offset >= log.stable:
                    break
                if offset in log.broken:
                    if taken:
                        break
                    raise unreadable(tp, offset, "broken by break_record")
                taken.append(log.records[offset])
                self._positions[tp] = offset + 1
        return taken

    def position(self, partition: TopicPartition) -> int:
        """See ``RecordReader``."""
        check_assigned([partition], self._positions)
        return self._positions[partition]

    def known_positions(self) -> dict[TopicPartition, int]:
        """See ``RecordReader``."""
        return dict(self._positions)

    def expired(self) -> list[ExpiredOffsets]:
        """See ``RecordReader``."""
        expired, self._expired = self._expired, []
        return expired

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """See ``RecordReader``."""
        check_assigned([partition], self._positions)
        self._positions[partition] = offset

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        """See ``RecordReader``."""
        check_assigned(partitions, self._positions)
        self._paused.update(partitions)

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        """See ``RecordReader``."""
        check_assigned(partitions, self._positions)
        self._paused.difference_update(partitions)

    def commit(self, offsets: Mapping[TopicPartition, int], *, timeout_seconds: float) -> None:
        """See ``RecordReader``; does not wait for a broker that is down."""
        if self.group is None:
            raise ConfigurationError("commit needs a reader that was opened with a group")
        with self._cluster.changed:
            self._cluster.check_up()
            group = self._cluster.group(self.group)
            if self._cluster.take_commit_rejection():
                raise CommitRejectedError(f"commit of group {self.group}: rejected by reject_next_commits")
            if self._topics is not None:
                check_commit(self.group, offsets, self._positions if self.member in group.members else ())
            group.committed.update(offsets)
            group.metadata.update({tp: self._commit_metadata.get(tp, "") for tp in offsets})

    def begin_commit(
        self, offsets: Mapping[TopicPartition, int], on_done: OnCommitted, *, timeout_seconds: float
    ) -> None:
        """See ``RecordReader``; waits for the answer."""
        commit_and_tell(self, offsets, on_done, timeout_seconds=timeout_seconds)

    def set_commit_metadata(self, metadata: Mapping[TopicPartition, str]) -> None:
        """See ``RecordReader``."""
        self._commit_metadata = dict(metadata)

    def commits(
        self, partitions: Collection[TopicPartition], *, timeout_seconds: float | None = None
    ) -> dict[TopicPartition, Commit | None]:
        """See ``RecordReader``."""
        offsets = self.committed(partitions)
        with self._cluster.changed:
            metadata = self._cluster.group(self.group or "").metadata
            return {
                tp: None if offset is None else Commit(offset, metadata.get(tp, "")) for tp, offset in offsets.items()
            }

    def committed(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int | None]:
        """See ``RecordReader``."""
        if self.group is None:
            raise ConfigurationError("committed needs a reader that was opened with a group")
        with self._cluster.changed:
            self._cluster.check_up()
            return {tp: self._cluster.group(self.group).committed.get(tp) for tp in partitions}

    def partitions_of(self, topic: str) -> tuple[TopicPartition, ...]:
        """See ``RecordReader``."""
        with self._cluster.changed:
            self._cluster.check_up()
            count = self._cluster.partition_counts().get(topic, 0)
        if not count:
            raise UnknownTopicError(f"topic {topic} does not exist", topic=topic)
        return tuple(TopicPartition(topic, number) for number in range(count))

    def beginning_offsets(
        self, partitions: Collection[TopicPartition], *, timeout_seconds: float | None = None
    ) -> dict[TopicPartition, int]:
        """See ``RecordReader``."""
        with self._cluster.changed:
            self._cluster.check_up()
            return {tp: self._cluster.log(tp).begin for tp in partitions}

    def end_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """See ``RecordReader``."""
        with self._cluster.changed:
            self._cluster.check_up()
            return {tp: self._cluster.log(tp).stable for tp in partitions}

    def high_watermarks(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """See ``RecordReader``."""
        with self._cluster.changed:
            self._cluster.check_up()
            return {tp: self._cluster.log(tp).end for tp in partitions}

    def offsets_for_times(self, times_ms: Mapping[TopicPartition, int]) -> dict[TopicPartition, int | None]:
        """See ``RecordReader``."""
        with self._cluster.changed:
            self._cluster.check_up()
            return {tp: self._cluster.log(tp).first_of_time(time_ms) for tp, time_ms in times_ms.items()}

    def topic_id(self, topic: str, *, timeout_seconds: float | None = None) -> str | None:
        """See ``RecordReader``."""
        with self._cluster.changed:
            self._cluster.check_up()
            return self._cluster.topic_id(topic)

    def close(self, *, timeout_seconds: float = 10.0) -> None:
        """See ``RecordReader``."""
        with self._cluster.changed:
            self._cluster.leave(self.group, self.member)
        self._topics = None
        self.assign({})
