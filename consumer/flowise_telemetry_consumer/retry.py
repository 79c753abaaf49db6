"""Waiting for what is away, within a bound."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from flowise_telemetry_consumer.backoff import Backoff
from flowise_telemetry_consumer.clock import Clock
from flowise_telemetry_consumer.reading.range_reader import IncompleteReadError
from flowise_telemetry_schemas import TelemetryError

__all__ = ["OutageError", "wait_out"]

logger = logging.getLogger("flowise_telemetry.consumer")

_RETRY_INITIAL_SECONDS = 0.5
_RETRY_MAX_SECONDS = 10.0

_T = TypeVar("_T")


class OutageError(IncompleteReadError):
    """What was waited for did not come back in time."""


def wait_out(step: Callable[[], _T], *, what: str, clock: Clock, stop: threading.Event, limit_seconds: float) -> _T:
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
