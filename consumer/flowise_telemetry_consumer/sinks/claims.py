"""What a sink has claimed and may therefore write on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flowise_telemetry_consumer.errors import FencedError
from flowise_telemetry_consumer.sinks.port import Batch, SourceProgress
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["PROGRESS_TABLE", "Advance", "Claims", "ProgressRow", "sources_of"]

PROGRESS_TABLE = "flowise_telemetry_progress"
"""In sinks that have tables: how far each source has come, a row for each of its partitions."""


@dataclass(frozen=True, slots=True)
class Advance:
    """One partition of a batch: up to where it brings its source, and the epoch of the claim that allows it."""

    partition: TopicPartition
    next_offset: int
    epoch: int


@dataclass(frozen=True, slots=True)
class ProgressRow:
    """One partition of a source as it is kept; ``next_offset`` is None where nothing was written yet.

    ``claimed_at_ms`` is None where a swap brought the claim from another set of tables.
    """

    source: str
    partition: TopicPartition
    next_offset: int | None
    description: str
    claimed_at_ms: int | None
    updated_at_ms: int


class Claims:
    """The epochs that one sink object got, by source and partition. They outlive a lost connection."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._epochs: dict[tuple[str, TopicPartition], int] = {}

    def took(self, source: str, epochs: Mapping[TopicPartition, int]) -> None:
        """These were claimed, each at an epoch of its own."""
        self._epochs |= {(source, partition): epoch for partition, epoch in epochs.items()}

    def advances(self, batch: Batch) -> list[Advance]:
        """What a batch moves, in one order for all writers, so that two of them cannot deadlock."""
        return [
            Advance(partition, offset, epoch)
            for partition, offset in sorted(batch.offsets.items())
            if (epoch := self._epochs.get((batch.source, partition))) is not None
        ]

    def fenced(self, source: str, partition: TopicPartition) -> FencedError:
        """The error for a partition whose epoch is another one by now."""
        topic, number = partition
        return FencedError(
            f"{self._url}: another has taken over {topic}[{number}] of {source!r} since: nothing was written",
            topic=topic,
            partition=number,
        )


def sources_of(rows: Iterable[ProgressRow]) -> list[SourceProgress]:
    """The progress by source, in the order of their names."""
    by_source: dict[str, list[ProgressRow]] = {}
    for row in rows:
        if row.claimed_at_ms is not None or row.next_offset is not None:
            by_source.setdefault(row.source, []).append(row)
    return [
        SourceProgress(
            source=source,
            # A write moves updated_at, too: the last one to claim is who may speak for the source.
            description=max(its, key=lambda row: row.claimed_at_ms or 0).description,
            next_offsets={row.partition: row.next_offset for row in its if row.next_offset is not None},
            updated_at_ms=max(row.updated_at_ms for row in its),
        )
        for source, its in sorted(by_source.items())
    ]
