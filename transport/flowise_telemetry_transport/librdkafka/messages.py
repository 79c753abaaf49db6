"""Records, ends of partitions and broken records out of librdkafka's messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flowise_telemetry_transport.errors import TransportError
from flowise_telemetry_transport.librdkafka.assignment import Assignment
from flowise_telemetry_transport.librdkafka.client import confluent_kafka
from flowise_telemetry_transport.librdkafka.errors import UNAVAILABLE, UNREADABLE, translate_error
from flowise_telemetry_transport.librdkafka.lookup import Lookup
from flowise_telemetry_transport.types import Record, TopicPartition

__all__ = ["Messages"]

# States that the client mends by itself.
_PASSING = UNAVAILABLE | {"UNKNOWN_TOPIC_OR_PART", "_MAX_POLL_EXCEEDED", "_STATE"}


class Messages:
    """Reads one call's messages, and moves the positions of the assignment accordingly."""

    def __init__(self, assignment: Assignment, lookup: Lookup, *, group: str | None) -> None:
        self._assignment = assignment
        self._lookup = lookup
        self._group = group
        self._no_timestamp = confluent_kafka().TIMESTAMP_NOT_AVAILABLE

    def records(self, messages: Sequence[Any]) -> list[Record]:
        """Return the records among messages, in their order; note ends of partitions and broken records.

        Raises ``TransportError`` for what the client does not mend; the messages of the call are then read again.
        """
        none = self._no_timestamp
        assignment = self._assignment
        ours = {(tp.topic, tp.partition): tp for tp in assignment.partitions}
        nexts: dict[TopicPartition, int] = {}
        broken = {tp for tp in assignment.partitions if assignment.is_unreadable(tp)}
        records: list[Record] = []
        try:
            for message in messages:
                topic, partition, offset = message.topic(), message.partition(), message.offset()
                tp = ours.get((topic, partition))
                if broken and tp in broken:
                    continue  # read again after the broken one
                error = message.error()
                if error is not None:
                    place = tp or TopicPartition(topic or "", -1 if partition is None else partition)
                    self._take(nexts)
                    self._note(error, place, offset, broken)
                    continue
                if tp is None:
                    continue
                try:
                    kind, timestamp_ms = message.timestamp()
                    headers = message.headers()
                    record = Record(
                        topic,
                        partition,
                        offset,
                        -1 if kind == none else timestamp_ms,
                        message.key(),
                        message.value(),
                        tuple(headers) if headers else (),
                    )
                except (UnicodeDecodeError, SystemError) as unparsed:
                    # confluent-kafka raises the first as the cause of the second.
                    self._take(nexts)
                    assignment.set_unreadable(tp, offset, str(unparsed.__cause__ or unparsed))
                    broken.add(tp)
                    continue
                records.append(record)
                nexts[tp] = offset + 1
        except TransportError:
            self._rewind(messages)
            raise
        self._take(nexts)
        return records

    def _take(self, nexts: dict[TopicPartition, int]) -> None:
        self._assignment.take(nexts)
        nexts.clear()

    def _note(self, error: Any, tp: TopicPartition, offset: int | None, broken: set[TopicPartition]) -> None:
        name, assignment = error.name(), self._assignment
        is_ours = tp in assignment.partitions
        if name == "_PARTITION_EOF":
            if is_ours and offset is not None:
                assignment.take_end(tp, offset)
        elif name == "_AUTO_OFFSET_RESET":
            if is_ours:
                assignment.set_astray(tp)
        elif _is_unreadable(error) and is_ours and offset is not None and offset >= 0:
            assignment.set_unreadable(tp, self._broken_offset(tp, offset), error.str())
            broken.add(tp)
        elif name == "GROUP_AUTHORIZATION_FAILED":
            if self._group is not None:
                raise translate_error(error, f"poll of group {self._group}")
            return  # the client looks for the coordinator of the group that it has to have in name
        elif name not in _PASSING:
            raise translate_error(error, "poll", topic=tp.topic or None)

    def _broken_offset(self, tp: TopicPartition, offset: int) -> int:
        """Return which offset a broken batch stands for: the one that is read next.

        The client names the batch's first, even when reading began in its middle, or one out of bytes that are none.
        """
        position = self._assignment.positions().get(tp)
        if position is None:
            return offset
        end = self._lookup.known_end(tp)
        return position if end is not None and offset >= end else max(offset, position)

    def _rewind(self, messages: Sequence[Any]) -> None:
        """Seek back so that messages of which none will be returned are read again."""
        firsts: dict[TopicPartition, int] = {}
        for message in messages:
            if message.error() is None:
                firsts.setdefault(TopicPartition(message.topic(), message.partition()), message.offset())
        for tp, offset in firsts.items():
            if tp in self._assignment.partitions:
                self._assignment.seek(tp, offset)


def _is_unreadable(error: Any) -> bool:
    # The second: bytes out of a damaged batch that are taken for the next one. A codec that this build of the client
    # lacks has the same name, and is no fault of the record.
    return error.name() in UNREADABLE or (error.name() == "_NOT_IMPLEMENTED" and "MagicByte" in error.str())
