"""The clock, passed in so that a test can replace it."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """The only source of time in the consumer. Durations are measured with ``monotonic``."""

    def monotonic(self) -> float:
        """Return the seconds since some fixed moment; they never go back."""

    def now_ms(self) -> int:
        """Return the milliseconds since 1970, for what people read."""

    def sleep(self, seconds: float) -> None:
        """Wait for this long."""


class SystemClock:
    """The machine's clock."""

    def monotonic(self) -> float:
        """Return ``time.monotonic()``."""
        return time.monotonic()

    def now_ms(self) -> int:
        """Return ``time.time()`` in milliseconds."""
        return time.time_ns() // 1_000_000

    def sleep(self, seconds: float) -> None:
        """Call ``time.sleep``."""
        time.sleep(seconds)
