"""Measured figures as a table: medians with the least and the most of all repetitions."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bench.size import SMOKE

__all__ = ["Row", "at_least", "at_most", "below", "print_table", "ratios"]

Wanted = tuple[str, Callable[[float], bool]]


def at_most(bound: float) -> Wanted:
    """Promised of a median."""
    return f"≤ {bound:g}", lambda value: value <= bound


def at_least(bound: float) -> Wanted:
    """Promised of a median."""
    return f"≥ {bound:g}", lambda value: value >= bound


def below(bound: float) -> Wanted:
    """Promised of a median."""
    return f"< {bound:g}", lambda value: value < bound


@dataclass(frozen=True, slots=True)
class Row:
    """A figure of every repetition, and what was promised of their median; of a smoke nothing is."""

    what: str
    values: Sequence[float]
    unit: str
    wanted: Wanted | None = None

    @property
    def median(self) -> float:
        """What the promise is held to."""
        return statistics.median(self.values)

    def line(self) -> str:
        """The row as printed."""
        spread = f"{_number(min(self.values))} … {_number(max(self.values))}"
        text, holds = (None if SMOKE else self.wanted) or ("", None)
        verdict = "" if holds is None else "holds" if holds(self.median) else "DOES NOT HOLD"
        return f"{self.what:<50} {_number(self.median):>10} {self.unit:<9} {spread:<23} {text:<8} {verdict}".rstrip()


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.1f}" if abs(value) >= 100 else f"{value:,.2f}"


def ratios(upper: Sequence[float], lower: Sequence[float]) -> list[float]:
    """Of what was measured in the same repetition, so that a machine that others use too hits both."""
    return [over / under for over, under in zip(upper, lower, strict=True)]


def print_table(title: str, rows: Iterable[Row]) -> None:
    """Prints each row as soon as it is there."""
    print(f"\n{title}")
    print(f"{'':<50} {'median':>10} {'':<9} {'least … most':<23} promised", flush=True)
    for row in rows:
        print(row.line(), flush=True)
