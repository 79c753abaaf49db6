"""Outcome of numbered events: written, dropped, on the way, or unexplained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from flowise_telemetry_consumer.sinks.account.tables import DROPPED, dropped_columns

__all__ = ["OUTCOMES", "Outcome", "outcome_of", "unaccounted"]

OUTCOMES = ("numbered", "written", "on_the_way", "unexplained", "arrived_anyway")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of some events.

    ``numbered`` = ``written`` + ``dropped`` + ``on_the_way`` + ``unexplained`` - ``arrived_anyway``: events that the
    sink has although their stream counted them as dropped, because the acknowledgement was lost.
    """

    numbered: int = 0
    written: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    on_the_way: int = 0
    unexplained: int = 0
    arrived_anyway: int = 0

    @property
    def missing(self) -> int:
        """Events that were numbered and are not in the sink, whatever the reason."""
        return self.numbered - self.written

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            self.numbered + other.numbered,
            self.written + other.written,
            dict(Counter(self.dropped) + Counter(other.dropped)),
            self.on_the_way + other.on_the_way,
            self.unexplained + other.unexplained,
            self.arrived_anyway + other.arrived_anyway,
        )


def unaccounted() -> pl.Expr:
    """Return what is neither written nor dropped; less than nothing where what was dropped arrived anyway."""
    return pl.col("numbered") - pl.col("written") - pl.sum_horizontal(dropped_columns())


def outcome_of(rows: pl.DataFrame) -> Outcome:
    """Sum rows that have the columns of ``OUTCOMES`` and of drops."""
    ((numbered, written, on_the_way, unexplained, arrived_anyway, *dropped),) = (
        rows.select(*OUTCOMES, *dropped_columns()).sum().iter_rows()
    )
    reasons = (column.removeprefix(DROPPED) for column in dropped_columns())
    counts = dict(zip(reasons, dropped, strict=True))
    return Outcome(numbered, written, counts, on_the_way, unexplained, arrived_anyway)
