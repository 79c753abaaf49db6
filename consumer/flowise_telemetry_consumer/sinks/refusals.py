"""Rows that the sink refuses: waited for or, where that is asked for, set aside as dead letters, so many an hour."""

from __future__ import annotations

from collections import deque
from typing import Literal, get_args

from flowise_telemetry_consumer.clock import Clock

__all__ = ["MAX_REFUSED_PER_HOUR", "ON_REFUSED", "OnRefused", "Refusals"]

OnRefused = Literal["wait", "dead-letter"]

ON_REFUSED: tuple[OnRefused, ...] = get_args(OnRefused)

MAX_REFUSED_PER_HOUR = 1_000

_HOUR_SECONDS = 3600.0


class Refusals:
    """Says whether a refused row may be set aside: never, or ``per_hour`` within any hour of this process.

    A rule that refuses everything would otherwise move the whole topic to the dead letters.
    """

    def __init__(self, on_refused: OnRefused, per_hour: int = MAX_REFUSED_PER_HOUR, *, clock: Clock) -> None:
        self._on_refused = on_refused
        self._per_hour = per_hour
        self._clock = clock
        self._set_aside: deque[float] = deque()

    def take(self) -> bool:
        """Return True, and count the row, if it may be set aside."""
        now = self._clock.monotonic()
        while self._set_aside and now - self._set_aside[0] >= _HOUR_SECONDS:
            self._set_aside.popleft()
        if self._on_refused == "wait" or len(self._set_aside) >= self._per_hour:
            return False
        self._set_aside.append(now)
        return True

    @property
    def why_not(self) -> str:
        """Return why a row is waited for, where that is not what was asked for."""
        if self._on_refused == "wait":
            return ""
        return f"; {self._per_hour:,} rows were set aside within an hour, which is the limit"
