"""The partitions that are read through librdkafka, and from where."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flowise_telemetry_transport.errors import (
    BrokerUnavailableError,
    UnreadableRecordError,
    check_assigned,
    unreadable,
)
from flowise_telemetry_transport.librdkafka.client import confluent_kafka
from flowise_telemetry_transport.librdkafka.lookup import Lookup
from flowise_telemetry_transport.librdkafka.offsets import ClusterOffsets
from flowise_telemetry_transport.types import ExpiredOffsets, TopicPartition

__all__ = ["Assignment"]

_LOOK_SECONDS = 2.0  # of one poll: whoever polls has other things to do


@dataclass(slots=True)
class _Partition:
    """State of one partition.

    ``position`` is None until something was read or sought. ``astray``: the broker does not have the offset that was
    asked for, or the group has committed none.
    """

    position: int | None = None
    astray: bool = False
    paused: bool = False
    unreadable: UnreadableRecordError | None = None


class Assignment:
    """Assigned partitions with their positions. The client is told where to read, and never moves a position itself.

    ``incremental`` is True for a member of a group that rebalances cooperatively (KIP-429, KIP-848): the client then
    takes partitions that come and go, never a whole assignment.
    """

    def __init__(self, consumer: Any, lookup: Lookup, offsets: ClusterOffsets, *, group: str | None) -> None:
        self._kafka = confluent_kafka()
        self._consumer = consumer
        self._lookup = lookup
        self._offsets = offsets
        self._group = group
        self._of: dict[TopicPartition, _Partition] = {}
        self._starting: frozenset[TopicPartition] = frozenset()  # taken over, and not yet given to the client
        self._restart = False  # the positions are ours, and the client has yet to be given them
        self._expired: list[ExpiredOffsets] = []
        self.partitions: frozenset[TopicPartition] = frozenset()
        self.incremental = False

    def replace(self, positions: Mapping[TopicPartition, int]) -> None:
        """Read exactly these partitions, from these offsets."""
        self.clear()
        self._add({tp: _Partition(offset) for tp, offset in positions.items()})
        self._give(positions)

    def begin(self, partitions: Collection[TopicPartition]) -> None:
        """Take partitions over from the group: all that are ours or, if ``incremental``, more of them.

        Until ``give`` a seek or a pause is kept for the client, which does not have them yet.
        """
        if not self.incremental:
            self.clear()
        self._add({tp: _Partition() for tp in partitions})
        self._starting = frozenset(partitions)

    def give(self) -> None:
        """Give the client what was taken over since ``begin``."""
        starting, self._starting = self._starting, frozenset()
        self._give(starting)

    def remove(self, partitions: Collection[TopicPartition]) -> None:
        """Forget partitions; the client is told by its rebalance."""
        for tp in partitions:
            self._of.pop(tp, None)
        self.partitions = frozenset(self._of)

    def clear(self) -> None:
        """Forget all partitions."""
        self._of.clear()
        self._restart = False
        self.partitions = frozenset()

    def start_over(self) -> None:
        """Read again from where the partitions were assigned, read or sought to."""
        if not self._of:
            return
        if self.incremental:
            self._consumer.incremental_unassign([self.client_tp(tp) for tp in self._of])
        self._give(self._of)

    def restore(self) -> None:
        """Go on where we were in partitions whose offset the broker does not have; past what retention removed.

        From the beginning where the group has committed nothing, or where the log now ends before our position. While
        the broker does not answer, nothing is changed.
        """
        if any(each.astray for each in self._of.values()):
            # Those that are not read from yet as well: each would come back by itself.
            lost = [tp for tp, each in self._of.items() if each.astray or each.position is None]
            try:
                self._find_way(lost)
            except BrokerUnavailableError:
                return  # the next poll tries again
        elif not self._restart:
            return
        self._restart = False
        self.start_over()  # the client has given these partitions up: a seek is refused

    def _find_way(self, lost: Collection[TopicPartition]) -> None:
        begins = self._offsets.beginnings(lost, seconds=_LOOK_SECONDS)
        ends = self._offsets.ends(lost, committed=False, seconds=_LOOK_SECONDS)
        unread = [tp for tp in lost if self._of[tp].position is None]
        committed: Mapping[TopicPartition, int | None] = {}
        if unread and self._group is not None:
            committed = self._lookup.committed(unread, self._group, seconds=_LOOK_SECONDS)
        for tp in lost:
            state, begin = self._of[tp], begins[tp]
            position = committed.get(tp) if state.position is None else state.position
            if position is not None and position < begin:
                self._expired.append(ExpiredOffsets(tp, position, begin))
            # A number and not "the beginning", which the client would look up, and which may be overtaken by a seek.
            state.position = position if position is not None and begin <= position <= ends[tp] else begin
            state.astray = False

    def _add(self, more: Mapping[TopicPartition, _Partition]) -> None:
        self._of.update(more)
        self.partitions = frozenset(self._of)

    def _give(self, partitions: Iterable[TopicPartition]) -> None:
        """Have the client read these partitions, as they are here."""
        given = [tp for tp in partitions if tp in self._of]
        assign = self._consumer.incremental_assign if self.incremental else self._consumer.assign
        assign([self.client_tp(tp, self._start_of(tp)) for tp in given])
        self._consumer.resume([self.client_tp(tp) for tp in given])  # librdkafka keeps pauses across assignments
        self._consumer.pause([
            self.client_tp(tp) for tp in given if self._of[tp].paused or self._of[tp].unreadable is not None
        ])  # fmt: skip

    def _start_of(self, tp: TopicPartition) -> int:
        """Return the offset to read from; librdkafka's name for the committed one where nothing was read yet."""
        position = self._of[tp].position
        return int(self._kafka.OFFSET_STORED) if position is None else position

    def positions(self) -> dict[TopicPartition, int]:
        """Return the positions that are known."""
        return {tp: each.position for tp, each in self._of.items() if each.position is not None}

    def take(self, nexts: Mapping[TopicPartition, int]) -> None:
        """Set the positions that records were returned up to."""
        for tp, offset in nexts.items():
            self._of[tp].position = offset

    def take_end(self, tp: TopicPartition, offset: int) -> None:
        """Take the end of a partition, which may be past a gap; never behind the position."""
        state = self._of[tp]
        state.position = max(offset, state.position or 0)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read from this offset; past an unreadable record, if there is one."""
        check_assigned([partition], self.partitions)
        state = self._of[partition]
        if state.unreadable is not None:
            state.unreadable = None
            if not state.paused:
                self._consumer.resume([self.client_tp(partition)])
        self._seek(partition, offset)

    def _seek(self, tp: TopicPartition, offset: int) -> None:
        state = self._of[tp]
        state.position, state.astray = offset, False
        if tp not in self._starting and not self._lookup.seek(tp, offset):
            self._restart = True

    def set_astray(self, tp: TopicPartition) -> None:
        """Note that the broker does not have the offset that the client asked for."""
        self._of[tp].astray = True

    def set_unreadable(self, tp: TopicPartition, offset: int, reason: str) -> None:
        """Stay at a record that cannot be parsed; the other partitions are read on while this one waits for a seek."""
        self._of[tp].unreadable = unreadable(tp, offset, reason)
        self._seek(tp, offset)
        self._consumer.pause([self.client_tp(tp)])

    def is_unreadable(self, tp: TopicPartition) -> bool:
        """Return whether a record that cannot be parsed is next."""
        return self._of[tp].unreadable is not None

    def raise_unreadable(self) -> None:
        """Raise the error of a partition that is not paused and whose next record cannot be parsed."""
        for state in self._of.values():
            if state.unreadable is not None and not state.paused:
                raise state.unreadable

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        """Return nothing from these until they are resumed."""
        check_assigned(partitions, self.partitions)
        for tp in partitions:
            self._of[tp].paused = True
        self._consumer.pause([self.client_tp(tp) for tp in partitions if tp not in self._starting])

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        """Return records of these again, from the position."""
        check_assigned(partitions, self.partitions)
        for tp in partitions:
            self._of[tp].paused = False
        read = [tp for tp in partitions if tp not in self._starting and self._of[tp].unreadable is None]
        self._consumer.resume([self.client_tp(tp) for tp in read])

    def take_expired(self) -> list[ExpiredOffsets]:
        """Return, once, what was stepped over because the log no longer has it."""
        expired, self._expired = self._expired, []
        return expired

    def client_tp(self, tp: TopicPartition, offset: int | None = None) -> Any:
        """Return the client's object for a partition, with an offset or without."""
        if offset is None:
            return self._kafka.TopicPartition(tp.topic, tp.partition)
        return self._kafka.TopicPartition(tp.topic, tp.partition, offset)
