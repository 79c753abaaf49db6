"""Days and weeks along an axis, those in which nothing happened among them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise

__all__ = ["unbroken"]

MOST_PERIODS = 2_000


def unbroken(names: Sequence[str]) -> list[str]:
    """Return days, or days that begin weeks, in order and without a gap; whatever else the names are, as they are.

    A query has no row of a day without events, and bars beside each other would hide it.
    """
    ordered = sorted(names)
    try:
        days = [date.fromisoformat(name) for name in ordered]
    except ValueError:
        return ordered
    steps = {(later - earlier).days for earlier, later in pairwise(days)}
    if not steps or any(len(name) != len("2026-01-31") for name in ordered):
        return ordered
    step = 7 if all(days_between % 7 == 0 for days_between in steps) else 1
    is_daily = step == 7 or 1 in steps
    count = (days[-1] - days[0]).days // step + 1
    if not is_daily or count > MOST_PERIODS:
        return ordered
    return [(days[0] + timedelta(days=step * n)).isoformat() for n in range(count)]
