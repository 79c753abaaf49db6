"""The report of a replay, which accounts for every offset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from flowise_telemetry_consumer.reading.offset_range import MissingOffsets
from flowise_telemetry_consumer.replay.resolved_range import ResolvedRange
from flowise_telemetry_transport.types import TopicPartition

__all__ = [
    "OnReport",
    "PartitionResult",
    "ReplayResult",
    "add_missing",
    "merged_ranges",
    "ranges_text",
    "unread_partitions",
]


@dataclass(slots=True)
class PartitionResult:
    """The accounts of the offsets from ``start`` to before ``end`` of one partition.

    Everything before ``position`` was read and written; in an incomplete replay it is below ``end``. This process began
    at ``resumed_at``, which is above ``start`` in a resumed replay, and counts the offsets from there to ``position``.
    ``gaps`` are offsets without a record: compacted away, expired, or transaction markers. ``missing`` are those that
    retention is known to have removed, as half-open ranges (first, end). ``held_back`` is the range of offsets after
    ``end`` that the topic held at the start and no reader got, as another producer's transaction was open.
    ``refused`` are events, by earlier processes too, that a rule of the sink refused and that were left out.
    """

    start: int
    end: int
    position: int
    resumed_at: int = -1
    written: int = 0
    already_there: int = 0
    erased: int = 0
    dead: int = 0
    filtered: int = 0
    gaps: int = 0
    missing: list[tuple[int, int]] = field(default_factory=list)
    held_back: tuple[int, int] | None = None
    refused: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.resumed_at < 0:
            self.resumed_at = self.position

    @property
    def offsets_read(self) -> int:
        """Count the offsets that this process has read and written."""
        return self.position - self.resumed_at

    @property
    def records(self) -> int:
        """Count the records at these offsets."""
        return self.written + self.already_there + self.erased + self.dead + self.filtered

    @property
    def complete(self) -> bool:
        """Return whether the end was reached."""
        return self.position == self.end

    @property
    def adds_up(self) -> bool:
        """Return whether every offset read is accounted for: as a record with an outcome, or as a gap."""
        return self.offsets_read == self.records + self.gaps and self.gaps >= 0


@dataclass(slots=True)
class ReplayResult:
    """The outcome of a replay, or its state so far while it runs.

    For every partition: offsets read = ``written`` + ``already_there`` + ``erased`` + ``dead`` + ``filtered`` +
    ``gaps``. Here ``written``, ``already_there`` and ``erased`` (left out, as erased from the sink before) are by
    event, ``dead`` by reason. ``incomplete`` says why the end was not reached;
    None if it was. ``run`` is the id by which it can be resumed.
    """

    topic: str
    partitions: dict[TopicPartition, PartitionResult]
    run: str = ""
    resumed: bool = False
    written: Counter[str] = field(default_factory=Counter)
    already_there: Counter[str] = field(default_factory=Counter)
    erased: Counter[str] = field(default_factory=Counter)
    dead: Counter[str] = field(default_factory=Counter)
    incomplete: str | None = None

    @property
    def offsets(self) -> int:
        """Count the offsets of the range."""
        return sum(result.end - result.start for result in self.partitions.values())

    @property
    def offsets_read(self) -> int:
        """Count the offsets that were read and written, by earlier processes too."""
        return sum(result.position - result.start for result in self.partitions.values())

    @property
    def offsets_before(self) -> int:
        """Count the offsets that earlier processes had read and written; the other counts leave them out."""
        return sum(result.resumed_at - result.start for result in self.partitions.values())

    @property
    def filtered(self) -> int:
        """Count the records that the filter left out."""
        return sum(result.filtered for result in self.partitions.values())

    @property
    def complete(self) -> bool:
        """Return whether every partition was read to its end."""
        return self.incomplete is None

    @property
    def missing(self) -> Mapping[TopicPartition, list[tuple[int, int]]]:
        """Return the offsets that retention removed, of the partitions that have any."""
        return {tp: part.missing for tp, part in sorted(self.partitions.items()) if part.missing}

    @property
    def refused(self) -> Mapping[TopicPartition, list[tuple[int, int]]]:
        """Return the offsets of events that the sink refused, of the partitions that have any."""
        return {tp: part.refused for tp, part in sorted(self.partitions.items()) if part.refused}

    @property
    def held_back(self) -> Mapping[TopicPartition, list[tuple[int, int]]]:
        """Return the offsets that an open transaction kept from the replay, of the partitions that have any."""
        return {tp: [part.held_back] for tp, part in sorted(self.partitions.items()) if part.held_back}

    def discrepancies(self) -> list[str]:
        """Return one line for each partition whose offsets do not add up: none, unless there is a bug."""
        lines = [
            f"partition {tp.partition}: {part.offsets_read} offsets read, {part.records} records and {part.gaps} gaps"
            for tp, part in sorted(self.partitions.items())
            if not part.adds_up
        ]
        for name, total, parts in (
            ("written", self.written.total(), sum(part.written for part in self.partitions.values())),
            ("already there", self.already_there.total(), sum(part.already_there for part in self.partitions.values())),
            ("erased", self.erased.total(), sum(part.erased for part in self.partitions.values())),
            ("dead letters", self.dead.total(), sum(part.dead for part in self.partitions.values())),
        ):
            if total != parts:
                lines.append(f"{name}: {total} in all, but {parts} by partition")
        return lines


def unread_partitions(
    resolved: ResolvedRange, positions: Mapping[TopicPartition, int]
) -> dict[TopicPartition, PartitionResult]:
    """Return the results of partitions before anything is read from ``positions``."""
    offsets = resolved.offsets
    return {
        tp: PartitionResult(
            offsets.starts[tp],
            offsets.ends[tp],
            position,
            missing=list(resolved.missing.get(tp, ())),
            held_back=resolved.held_back.get(tp),
            # What is read again may be taken this time.
            refused=[(first, last) for first, last in resolved.refused.get(tp, ()) if last <= position],
        )
        for tp, position in positions.items()
    }


class _HasMissing(Protocol):
    missing: list[tuple[int, int]]


def add_missing(partitions: Mapping[TopicPartition, _HasMissing], missing: MissingOffsets) -> None:
    """Add offsets that retention removed to those known to be missing."""
    for tp, ranges in missing.items():
        partitions[tp].missing = merged_ranges([*partitions[tp].missing, *ranges])


def merged_ranges(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the same offsets in order, each once: a resumed replay may report a loss again."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def ranges_text(missing: Mapping[TopicPartition, Sequence[tuple[int, int]]]) -> str:
    """Return missing ranges for people: ``0: 5-9; 1: 0-3`` by partition, the last offset included."""
    return "; ".join(
        f"{tp.partition}: " + ", ".join(f"{start}-{end - 1}" for start, end in ranges) for tp, ranges in missing.items()
    )


OnReport = Callable[[ReplayResult], None]
"""Called after every batch with the result so far."""
