"""Records that are written together, and the one rule that closes a batch: service, replay and redrive use it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from flowise_telemetry_consumer.dead_letter import DeadLetter
from flowise_telemetry_consumer.reading.offset_range import OffsetSpan
from flowise_telemetry_transport.types import Record, TopicPartition

__all__ = ["RECORD_OVERHEAD_BYTES", "BatchLimits", "RecordBatch"]

RECORD_OVERHEAD_BYTES = 64
"""Added to the size of each record, so that many empty records have a size too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """Limits of a batch: the first one reached closes it. The age counts from its first record."""

    rows: int = 20_000
    size_bytes: int = 32 * 1_048_576
    age_seconds: float = 1.0


@dataclass(slots=True)
class RecordBatch:
    """Records in the order in which they were polled, and those that could not be read.

    ``next_offsets``: for each partition, the offset after the last record in the batch, or the end of its last span.
    ``since`` is the monotonic time of the first addition.
    """

    records: list[Record] = field(default_factory=list)
    unreadable: list[DeadLetter] = field(default_factory=list)
    next_offsets: dict[TopicPartition, int] = field(default_factory=dict)
    size_bytes: int = 0
    since: float | None = None

    def __bool__(self) -> bool:
        return bool(self.next_offsets)

    def __len__(self) -> int:
        return len(self.records) + len(self.unreadable)

    def add(self, records: Sequence[Record], *, now: float) -> None:
        """Add polled records, of any partitions; ``now`` is monotonic."""
        if not records:
            return
        self._add(records, now)
        topic, partition, offset = records[0].topic, records[0].partition, -1
        for record in records:
            # Neighbours are mostly of one partition, which is then noted once.
            if record.partition != partition or record.topic != topic:
                self.next_offsets[TopicPartition(topic, partition)] = offset + 1
                topic, partition = record.topic, record.partition
            offset = record.offset
        self.next_offsets[TopicPartition(topic, partition)] = offset + 1

    def add_span(self, span: OffsetSpan, records: Sequence[Record], *, now: float) -> None:
        """Add the wanted ``records`` of a span, perhaps none, and all its unreadable ones.

        The whole span is handled with the batch: its end becomes the partition's next offset.
        """
        self._add(records, now)
        self.unreadable += span.unreadable
        self.next_offsets[span.partition] = span.end

    def _add(self, records: Sequence[Record], now: float) -> None:
        if self.since is None:
            self.since = now
        self.records += records
        self.size_bytes += len(records) * RECORD_OVERHEAD_BYTES
        self.size_bytes += sum([len(record.value or b"") for record in records])
        self.size_bytes += sum([len(record.key or b"") for record in records])

    def add_unreadable(self, letter: DeadLetter, *, now: float) -> None:
        """Add a record that the client could not parse, so that its offset is handled with the others."""
        if self.since is None:
            self.since = now
        self.unreadable.append(letter)
        self.next_offsets[letter.record.topic_partition] = letter.record.offset + 1

    def all_records(self) -> list[Record]:
        """Return the records, the unreadable ones without their bytes, in offset order within a partition."""
        if not self.unreadable:
            return self.records
        both = [*self.records, *(letter.record for letter in self.unreadable)]
        return sorted(both, key=lambda record: (record.topic, record.partition, record.offset))

    def spans_text(self) -> str:
        """Return the offsets of each partition for a message: ``events[0] 10 to 19``."""
        firsts: dict[TopicPartition, int] = {}
        for record in self.all_records():
            firsts.setdefault(record.topic_partition, record.offset)
        spans = ((tp, first, self.next_offsets[tp] - 1) for tp, first in sorted(firsts.items()))
        return ", ".join(f"{tp.topic}[{tp.partition}] {first} to {last}" for tp, first, last in spans)

    def is_due(self, limits: BatchLimits, *, now: float) -> bool:
        """Return whether the batch is full or old enough to be written."""
        if self.since is None:
            return False
        return self.is_full(limits) or now - self.since >= limits.age_seconds

    def is_full(self, limits: BatchLimits) -> bool:
        """Return whether the batch must not grow any more."""
        return len(self) >= limits.rows or self.size_bytes >= limits.size_bytes

    def seconds_left(self, limits: BatchLimits, *, now: float) -> float:
        """Return the seconds until its age makes the batch due; the whole age if it is empty."""
        return limits.age_seconds if self.since is None else max(0.0, self.since + limits.age_seconds - now)

    def without(self, partitions: Collection[TopicPartition]) -> RecordBatch:
        """Return the rest of the batch once these partitions belong to another member."""
        kept = RecordBatch()
        if self.since is None:
            return kept
        kept.add(_others(self.records, partitions), now=self.since)
        for letter in self.unreadable:
            if letter.record.topic_partition not in partitions:
                kept.add_unreadable(letter, now=self.since)
        for partition in kept.next_offsets:
            kept.next_offsets[partition] = self.next_offsets[partition]
        return kept


def _others(records: Iterable[Record], partitions: Collection[TopicPartition]) -> list[Record]:
    return [record for record in records if record.topic_partition not in partitions]
