"""The claims of a sink: the partitions that it may advance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from flowise_telemetry_consumer.errors import FencedError, SinkBehindError
from flowise_telemetry_consumer.sinks.port import Batch, SourceProgress
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["PROGRESS_TABLE", "Advance", "Claims", "ProgressRow", "Stored", "carried_offset", "is_group", "sources_of"]

PROGRESS_TABLE = "flowise_telemetry_progress"
"""Table of progress in sinks that have tables: a row per source and partition."""

_REPLAYS = frozenset({"replay", "archive"})
"""Beginnings of the sources that are no consumer groups, up to the slash."""


@dataclass(frozen=True, slots=True)
class Advance:
    """One partition that a batch advances: the next offset, the epoch of its claim, and what is stored at least."""

    partition: TopicPartition
    next_offset: int
    epoch: int
    held: int | None = None


class Stored(NamedTuple):
    """Next offset (None if nothing was written yet) and epoch of a partition as stored."""

    next_offset: int | None
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
            Advance(partition, offset, epoch, batch.held.get(partition))
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

    def gone(self, source: str, partition: TopicPartition) -> FencedError:
        """Return the error for a partition of which nothing is stored any more, our claim neither."""
        topic, number = partition
        return FencedError(
            f"{self._url} does not know {topic}[{number}] of {source!r} any more: it was made again, or restored from"
            " before it was claimed; nothing was written",
            topic=topic,
            partition=number,
        )

    def require(self, batch: Batch, stored: Mapping[TopicPartition, Stored]) -> None:
        """Raise ``FencedError`` or ``SinkBehindError`` if a batch may not advance what is stored."""
        steps = self.advances(batch)
        for step in steps:
            kept = stored.get(step.partition)
            if kept is None:
                raise self.gone(batch.source, step.partition)
            if kept.epoch != step.epoch:
                raise self.fenced(batch.source, step.partition)
        behind = {
            step.partition: stored[step.partition].next_offset or 0
            for step in steps
            if step.held is not None and (stored[step.partition].next_offset or 0) < step.held
        }
        if behind:
            at = ", ".join(
                f"{topic}[{number}] at {offset}, was at {batch.held[TopicPartition(topic, number)]}"
                for (topic, number), offset in behind.items()
            )
            raise SinkBehindError(
                f"{self._url} holds less of {batch.source!r} than before ({at}): it was restored or failed over;"
                " nothing was written, read again from there",
                behind,
            )


def is_group(source: str) -> bool:
    """Tell if a source is a consumer group, and not a replay of a topic or an archive."""
    return source.partition("/")[0] not in _REPLAYS


def carried_offset(live: ProgressRow, incoming: Iterable[ProgressRow]) -> int | None:
    """Return the next offset of a live source in tables that take over the name and do not know it.

    For a group the lesser of its own and of how far anyone has filled these tables, so that it reads what they lack
    and no more. Its own where nobody filled them by offsets. None for a replay, whose rows are in the other tables.
    """
    if live.next_offset is None or not is_group(live.source):
        return None
    filled = [row.next_offset for row in incoming if row.partition == live.partition and row.next_offset is not None]
    return min(live.next_offset, max(filled, default=live.next_offset))


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
            descriptions={row.partition: row.description for row in its},
        )
        for source, its in sorted(by_source.items())
    ]
