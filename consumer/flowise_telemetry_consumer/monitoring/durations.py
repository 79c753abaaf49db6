"""How long something took, over all the times that it was done."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Durations"]


class Durations:
    """A histogram: how many times took at most each of the ``bounds_seconds``, and what all took together."""

    def __init__(self, bounds_seconds: Sequence[float]) -> None:
        self.bounds_seconds = tuple(bounds_seconds)
        self.total_seconds = 0.0
        self._counts = [0] * (len(self.bounds_seconds) + 1)

    def add(self, seconds: float) -> None:
        """It was done once more."""
        place = sum(bound < seconds for bound in self.bounds_seconds)
        self._counts[place] += 1
        self.total_seconds += seconds

    def cumulative(self) -> list[tuple[float, int]]:
        """For each bound, and infinity at the end, how many times took at most that."""
        found, so_far = [], 0
        for bound, count in zip((*self.bounds_seconds, float("inf")), list(self._counts), strict=True):
            so_far += count
            found.append((bound, so_far))
        return found
