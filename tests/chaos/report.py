"""The table at the end of a run, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from tests.chaos.checker import Kind, Verdict

__all__ = ["Outcome", "table"]

_HEAD = ("scenario", "client", "offered", "written", "dead letters", "expired", *get_args(Kind))


@dataclass(frozen=True, slots=True)
class Outcome:
    """One trial: its account, or why there is none."""

    scenario: str
    client: str
    seconds: float
    verdict: Verdict | None
    failure: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether every promise was kept."""
        return self.failure is None and self.verdict is not None and not self.verdict.faults


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the rows of all trials; one without an account has dashes."""
    rows = [_HEAD, ("---",) * len(_HEAD), *map(_row, outcomes)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(outcome: Outcome) -> tuple[str, ...]:
    verdict = outcome.verdict
    if verdict is None:
        return (outcome.scenario, outcome.client, *("-" for _ in _HEAD[2:]))
    counts = (verdict.offered, verdict.written, verdict.dead, verdict.expired)
    return (
        outcome.scenario,
        outcome.client,
        *(f"{count:,}" for count in counts),
        *(f"{verdict.count(kind)}" for kind in get_args(Kind)),
    )
