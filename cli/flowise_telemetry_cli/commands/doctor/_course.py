"""Looks in a row, within one time for all of them; each finding is shown as it is made."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from flowise_telemetry_transport.diagnosis.finding import Finding, Look, findings_of, not_tried

__all__ = ["Course"]


@dataclass(slots=True)
class Course:
    """Takes looks until ``end``, a time of the monotonic clock."""

    end: float
    show: Callable[[Finding], object]
    found: list[Finding] = field(default_factory=list)

    @property
    def seconds_left(self) -> float:
        """Time until the end."""
        return self.end - time.monotonic()

    def take(self, name: str, seconds: float, run: Callable[[float], Iterator[Finding]]) -> list[Finding]:
        """Return what a look of at most so many seconds finds; none is begun after the end."""
        if self.seconds_left <= 0:
            return self.add([not_tried(name, "the time is over", "give more with --timeout")])
        return self.add(findings_of(Look(name, seconds, run), self.seconds_left))

    def add(self, findings: Iterable[Finding]) -> list[Finding]:
        """Show findings, and return them."""
        added = list(findings)
        for each in added:
            self.show(each)
        self.found += added
        return added

    def skip(self, why: str, *names: str) -> None:
        """Note that these were not looked at."""
        self.add(not_tried(name, why) for name in names)

    def count(self, state: str) -> int:
        """Return how many findings are of this state."""
        return sum(each.state == state for each in self.found)
