"""A removal that goes in small steps, shown while it runs and stopped between two of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from flowise_telemetry_cli.output.progress import ProgressDisplay, Status
from flowise_telemetry_cli.signals import stopped_by_signals

__all__ = ["removed_by"]


def removed_by(steps: Iterator[Mapping[str, int]], what: str) -> tuple[Counter[str], bool]:
    """Take the steps; return what they removed, and whether a signal stopped them. ``what`` they remove is shown."""

    def status(removed: Counter[str], _seconds: float) -> Status:
        return Status(f"{removed.total():,} {what} so far")

    removed: Counter[str] = Counter()
    with ProgressDisplay(status) as display, stopped_by_signals() as stop:
        for step in steps:
            removed.update(step)
            display.show(removed)
            if stop.is_set():
                break
        return removed, stop.is_set()
