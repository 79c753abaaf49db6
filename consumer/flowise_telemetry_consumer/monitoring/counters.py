"""What the consumer has done so far, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import polars as pl

from flowise_telemetry_consumer.monitoring.durations import Durations
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["BatchOutcome", "OnProgress", "Progress"]

_FLUSH_BOUNDS_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOutcome:
    """One batch after its write: ``written`` and ``duplicates`` by event, ``dead`` by reason.

    ``frames`` are its events, by name; ``seconds`` is how long the attempts took, without the waits between them.
    """

    records: int
    written: Mapping[str, int]
    duplicates: Mapping[str, int]
    dead: Mapping[str, int]
    seconds: float
    frames: Mapping[str, pl.DataFrame]


@dataclass(slots=True)
class Progress:
    """Counts since the start. ``consumed`` = written + duplicates + dead, once a batch is through.

    ``written`` and ``duplicates`` are by event, ``dead`` by reason. ``outage`` says what is being waited for, if
    anything. ``dropped_records`` were polled and not written because their partitions went to someone else, or
    because the time to stop was up: they were not committed, and are read again.

    How things stand now: ``assigned`` and ``paused`` partitions, ``polled_at`` (monotonic), ``lag`` in records as of
    the last look (there is none until someone has ``watched``), ``event_age_seconds`` of the newest event of the latest
    batch, ``missing_events`` (see ``MissingEvents``; None where this consumer does not read the whole topic). Other
    threads may read all of it; only the consumer's writes.
    """

    consumed: int = 0
    written: Counter[str] = field(default_factory=Counter)
    duplicates: Counter[str] = field(default_factory=Counter)
    dead: Counter[str] = field(default_factory=Counter)
    batches: int = 0
    commits: int = 0
    rejected_commits: int = 0
    retries: int = 0
    dropped_records: int = 0
    rebalances: int = 0
    outage: str | None = None
    assigned: frozenset[TopicPartition] = frozenset()
    paused: frozenset[TopicPartition] = frozenset()
    polled_at: float = 0.0
    lag: dict[TopicPartition, int] = field(default_factory=dict)
    watched: bool = False
    event_age_seconds: float | None = None
    missing_events: int | None = None
    flushes: Durations = field(default_factory=lambda: Durations(_FLUSH_BOUNDS_SECONDS))

    def count(self, outcome: BatchOutcome) -> None:
        """Count a batch that is through."""
        self.batches += 1
        self.consumed += outcome.records
        self.written += Counter(outcome.written)
        self.duplicates += Counter(outcome.duplicates)
        self.dead += Counter(outcome.dead)
        self.flushes.add(outcome.seconds)


OnProgress = Callable[[Progress], None]
"""Called on the consumer's thread after every batch and when an outage begins or ends; should be quick."""
