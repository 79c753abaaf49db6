"""A scenario: a name, what it does to a trial, and the alert that fires for it in production."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.chaos.stage import SinkKind
from tests.chaos.trial import Trial

__all__ = ["SCENARIOS", "Scenario", "scenario"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """``alert`` is of deploy/prometheus/alerts.yml; None where nothing needs an operator."""

    name: str
    run: Callable[[Trial], None]
    alert: str | None
    sink: SinkKind
    partitions: int
    brokers: int
    smoke: bool


SCENARIOS: list[Scenario] = []


def scenario(
    name: str,
    *,
    alert: str | None = None,
    sink: SinkKind = "postgresql",
    partitions: int = 4,
    brokers: int = 1,
    smoke: bool = False,
) -> Callable[[Callable[[Trial], None]], Callable[[Trial], None]]:
    """Register a function as scenario; with ``smoke`` it belongs to the short form too."""

    def register(run: Callable[[Trial], None]) -> Callable[[Trial], None]:
        SCENARIOS.append(
            Scenario(name=name, run=run, alert=alert, sink=sink, partitions=partitions, brokers=brokers, smoke=smoke)
        )
        return run

    return register
