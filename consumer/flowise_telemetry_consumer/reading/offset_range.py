"""Ranges of offsets: those of a topic to read, and those returned by one poll."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from flowise_telemetry_consumer.dead_letter import DeadLetter
from flowise_telemetry_transport.ports import RecordReader
from flowise_telemetry_transport.types import Record, TopicPartition

__all__ = ["MissingOffsets", "OffsetRange", "OffsetSpan"]

MissingOffsets = Mapping[TopicPartition, Sequence[tuple[int, int]]]
"""Offsets that retention removed, by partition, as half-open ranges (first, end)."""


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """Offsets to read, half-open: from ``starts`` to before ``ends``, both of the same partitions."""

    topic: str
    starts: Mapping[TopicPartition, int]
    ends: Mapping[TopicPartition, int]

    @classmethod
    def of(cls, reader: RecordReader, topic: str) -> Self:
        """Return everything in the topic now. Raises ``UnknownTopicError`` or ``BrokerUnavailableError``."""
        partitions = reader.partitions_of(topic)
        # The ends first: between the two calls retention may move the beginning past an end, never the other way round.
        ends = reader.end_offsets(partitions)
        starts = reader.beginning_offsets(partitions)
        return cls(topic, {tp: min(starts[tp], ends[tp]) for tp in partitions}, dict(ends))

    @property
    def offset_count(self) -> int:
        """Count the offsets of the range: at least as many as its records, as there may be gaps."""
        return sum(self.ends[tp] - start for tp, start in self.starts.items())


@dataclass(frozen=True, slots=True)
class OffsetSpan:
    """One poll's contiguous offset range [start, end) of one partition.

    ``gaps`` counts its offsets without a record: compacted away, expired, or transaction markers. They are counted from
    the offsets of the records, so that ``end - start`` can be checked against records and gaps.
    """

    partition: TopicPartition
    start: int
    end: int
    gaps: int
    records: Sequence[Record] = ()
    unreadable: Sequence[DeadLetter] = ()
