"""A consumer's counts since it started, and its state as an operator sees it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import polars as pl

from flowise_telemetry_transport.types import TopicPartition

__all__ = ["BatchOutcome", "ConsumerCounters", "OnChange"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOutcome:
    """One completed batch: ``written``, ``duplicates`` and ``erased`` by event, ``control`` by kind of record.

    ``dead`` is by reason; ``erased`` were left out because the sink was told to forget them.

    ``frames`` are its events and control records, by name; ``seconds`` is the duration of the attempts, without the
    waits between them.
    """

    records: int
    written: Mapping[str, int]
    duplicates: Mapping[str, int]
    erased: Mapping[str, int] = field(default_factory=dict)
    control: Mapping[str, int]
    dead: Mapping[str, int]
    seconds: float
    frames: Mapping[str, pl.DataFrame]


class Observer(Protocol):
    """The part of prometheus-client's ``Histogram`` that counting needs."""

    def observe(self, amount: float, /) -> None:
        """Add one observation."""


@dataclass(slots=True)
class ConsumerCounters:
    """Counts since the start. ``consumed`` = written + duplicates + erased + control + dead, of completed batches.

    ``written``, ``duplicates`` and ``erased`` are by event, ``dead`` by reason, ``control`` by kind of control record,
    such as ``stream_state``: those are in the sink too, and no events. ``dropped_records`` were polled and not written,
    because their partitions were assigned to another member or the time to stop was up; they were not committed, and
    are read again. ``reread`` are records that the group had committed and that were read again because the sink did
    not have them any more; ``expired`` are offsets that retention removed before they were read. ``recreated`` counts
    how often the topic turned out to be a new one of the same name. ``flush_seconds`` observes the duration of each
    batch once metrics are served.

    The current state: ``outage``, the message of the error that is being waited out; ``brokers_away``, why the brokers
    do not answer; ``assigned`` and ``paused`` partitions; ``polled_at`` (monotonic); ``advancing_since``, when the
    sink's thread was given what it is at, and ``in_hand_since``, when the oldest record in hand was polled (both
    monotonic); ``draining``, once it was asked to stop; ``left`` records that were in hand at its end; ``committed``
    next offsets, and ``committed_at_ms``, when the latest was; ``lag`` in records from there, ``lag_since``, since when
    the oldest of them has been there at least (monotonic), and ``held_back``, those that wait for the end of a
    transaction, all looked up only after a scrape, or a question for readiness, has set ``watched``;
    ``event_age_seconds`` of the newest event of the latest batch.

    Only the consumer's thread writes, and the service never reads them; any thread may.
    """

    consumed: int = 0
    written: Counter[str] = field(default_factory=Counter)
    duplicates: Counter[str] = field(default_factory=Counter)
    erased: Counter[str] = field(default_factory=Counter)
    control: Counter[str] = field(default_factory=Counter)
    dead: Counter[str] = field(default_factory=Counter)
    batches: int = 0
    commits: int = 0
    rejected_commits: int = 0
    retries: int = 0
    dropped_records: int = 0
    reread: int = 0
    recreated: int = 0
    rebalances: int = 0
    outage: str | None = None
    brokers_away: str | None = None
    assigned: frozenset[TopicPartition] = frozenset()
    paused: frozenset[TopicPartition] = frozenset()
    polled_at: float = 0.0
    advancing_since: float | None = None
    in_hand_since: float | None = None
    draining: bool = False
    left: int = 0
    committed: dict[TopicPartition, int] = field(default_factory=dict)
    committed_at_ms: int | None = None
    lag: dict[TopicPartition, int] = field(default_factory=dict)
    lag_since: float | None = None
    watched: bool = False
    event_age_seconds: float | None = None
    expired: int = 0
    held_back: dict[TopicPartition, int] = field(default_factory=dict)
    flush_seconds: Observer | None = field(default=None, repr=False)

    def count(self, outcome: BatchOutcome) -> None:
        """Count a completed batch."""
        self.batches += 1
        self.consumed += outcome.records
        self.written += Counter(outcome.written)
        self.duplicates += Counter(outcome.duplicates)
        self.erased += Counter(outcome.erased)
        self.control += Counter(outcome.control)
        self.dead += Counter(outcome.dead)
        if self.flush_seconds is not None:
            self.flush_seconds.observe(outcome.seconds)


OnChange = Callable[[ConsumerCounters], None]
"""Called on the consumer's thread after every batch and when an outage begins or its cause changes; must be quick."""
