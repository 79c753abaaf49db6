"""What the consumer has done so far, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from flowise_telemetry_consumer.pipeline import Flight

__all__ = ["OnProgress", "Progress"]


@dataclass(slots=True)
class Progress:
    """Counts since the start. ``consumed`` = written + duplicates + dead, once a batch is through.

    ``written`` and ``duplicates`` are by event, ``dead`` by reason. ``outage`` says what is being waited for, if
    anything. ``dropped_records`` were polled and not written because their partitions went to someone else, or
    because the time to stop was up: they were not committed, and are read again.
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
    outage: str | None = None

    def landed(self, flight: Flight) -> None:
        """Counts a batch that is through."""
        self.batches += 1
        self.consumed += len(flight.batch)
        self.written += Counter(flight.result.written)
        self.duplicates += Counter(flight.result.duplicates)
        self.dead += flight.dead_by_reason()


OnProgress = Callable[[Progress], None]
"""Called on the consumer's thread after every batch and when an outage begins or ends; should be quick."""
