"""The claims of a sink: the partitions that it may advance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flowise_telemetry_consumer.errors import FencedError
from flowise_telemetry_consumer.sinks.port import Batch, SourceProgress
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["PROGRESS_TABLE", "Advance", "Claims", "ProgressRow", "sources_of"]

PROGRESS_TABLE = "flowise_telemetry_progress"
"""Table of progress in sinks that have tables: a row per source and partition."""


@dataclass(frozen=True, slots=True)
class Advance:
    """One partition that a batch advances: the next offset, and the epoch of its claim."""

    partition: TopicPartition
    next_offset: int
    epoch: int


@dataclass(frozen=True, slots=True)
class ProgressRow:
    """One partition of a source as stored; ``next_offset`` is None if nothing was written yet.

    ``claimed_at_ms`` is None if ``promote`` carried the claim over from the other set of tables.
    """

    source: str
    partition: TopicPartition
    next_offset: int | None
    description: str
    claimed_at_ms: int | None
    updated_at_ms: int


class Claims:
    """Epochs of one sink object's claims, by source and partition. They outlive a lost connection."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._epochs: dict[tuple[str, TopicPartition], int] = {}

    def record(self, source: str, epochs: Mapping[TopicPartition, int]) -> None:
        """Remember claims, each with its epoch."""
        self._epochs |= {(source, partition): epoch for partition, epoch in epochs.items()}

    def advances(self, batch: Batch) -> list[Advance]:
        """Return the partitions that a batch advances, sorted: writers that lock in one order cannot deadlock."""
        return [
            Advance(partition, offset, epoch)
            for partition, offset in sorted(batch.offsets.items())
            if (epoch := self._epochs.get((batch.source, partition))) is not None
        ]

    def fenced(self, source: str, partition: TopicPartition) -> FencedError:
        """Return the error for a partition whose epoch is no longer ours."""
        topic, number = partition
        return FencedError(
            f"{self._url}: another consumer has claimed {topic}[{number}] of {source!r}: nothing was written",
            topic=topic,
            partition=number,
        )


def sources_of(rows: Iterable[ProgressRow]) -> list[SourceProgress]:
    """Group rows by source, sorted by name."""
    by_source: dict[str, list[ProgressRow]] = {}
    for row in rows:
        if row.claimed_at_ms is not None or row.next_offset is not None:
            by_source.setdefault(row.source, []).append(row)
    return [
        SourceProgress(
            source=source,
            # That of the last claim, not of the last write, which also sets updated_at.
            description=max(its, key=lambda row: row.claimed_at_ms or 0).description,
            next_offsets={row.partition: row.next_offset for row in its if row.next_offset is not None},
            updated_at_ms=max(row.updated_at_ms for row in its),
        )
        for source, its in sorted(by_source.items())
    ]
