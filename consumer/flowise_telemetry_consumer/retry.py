"""Trying again: how long to wait before the next try, and waiting for what is away within a bound."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from flowise_telemetry_consumer.clock import Clock
from flowise_telemetry_consumer.errors import IncompleteReadError
from flowise_telemetry_schemas import TelemetryError

__all__ = ["Backoff", "OutageError", "retry_until"]

logger = logging.getLogger("flowise_telemetry.consumer")

_RETRY_INITIAL_SECONDS = 0.5
_RETRY_MAX_SECONDS = 10.0

_T = TypeVar("_T")


class Backoff:
    """Doubling waits from ``initial_seconds`` to ``max_seconds``."""

    def __init__(self, *, initial_seconds: float, max_seconds: float) -> None:
        self._initial_seconds = initial_seconds
        self._max_seconds = max_seconds
        self._next_seconds = initial_seconds

    def next_seconds(self) -> float:
        """The wait before the next try."""
        seconds = self._next_seconds
        self._next_seconds = min(self._max_seconds, seconds * 2)
        return seconds

    def reset(self) -> None:
        """It worked: the next failure starts with the shortest wait again."""
        self._next_seconds = self._initial_seconds


class OutageError(IncompleteReadError):
    """What was waited for did not come back in time."""


def retry_until(step: Callable[[], _T], *, what: str, clock: Clock, stop: threading.Event, limit_seconds: float) -> _T:
    """Takes a step, again and again while it fails with something retryable.

    Raises ``OutageError`` after ``limit_seconds`` or once ``stop`` is set, and what no retry mends at once.
    """
    backoff = Backoff(initial_seconds=_RETRY_INITIAL_SECONDS, max_seconds=_RETRY_MAX_SECONDS)
    deadline = clock.monotonic() + limit_seconds
    while True:
        try:
            return step()
        except TelemetryError as error:
            if not error.retryable:
                raise
            if stop.is_set() or clock.monotonic() >= deadline:
                raise OutageError(f"{what} stayed away: {error.message}") from error
            logger.warning("waiting: %s", error.message)
            clock.sleep(backoff.next_seconds())
