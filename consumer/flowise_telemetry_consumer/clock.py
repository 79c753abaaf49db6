"""Time, handed in, so that a test can be its master."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """What the consumer knows of time. Durations are measured with ``monotonic`` only."""

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""

    def now_ms(self) -> int:
        """Milliseconds since 1970, for people to read."""

    def sleep(self, seconds: float) -> None:
        """Waits."""


class SystemClock:
    """The clock of the machine."""

    def monotonic(self) -> float:
        """``time.monotonic``."""
        return time.monotonic()

    def now_ms(self) -> int:
        """``time.time`` in milliseconds."""
        return time.time_ns() // 1_000_000

    def sleep(self, seconds: float) -> None:
        """``time.sleep``."""
        time.sleep(seconds)
