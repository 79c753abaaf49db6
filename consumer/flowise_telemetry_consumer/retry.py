"""Retries: the back-off between attempts, and waiting for an outage to end, within a bound."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from flowise_telemetry_consumer.clock import Clock, SystemClock
from flowise_telemetry_consumer.errors import OutageError
from flowise_telemetry_schemas import TelemetryError

__all__ = ["DEFAULT_CONTROL", "Backoff", "RunControl", "retry_until"]

logger = logging.getLogger("flowise_telemetry.consumer")

_RETRY_INITIAL_SECONDS = 0.5
_RETRY_MAX_SECONDS = 10.0

_T = TypeVar("_T")


class Backoff:
    """Waits that double from ``initial_seconds`` to ``max_seconds``, each with "equal jitter".

    A wait is at least half of the doubled value, and the other half is random: without that, all consumers of a group
    would retry a database in step. Tests pass ``random`` to make the waits repeatable.

    The scheme is that of https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
    """

    def __init__(self, *, initial_seconds: float, max_seconds: float, random: Random | None = None) -> None:
        self._initial_seconds = initial_seconds
        self._max_seconds = max_seconds
        self._random = random or Random()  # noqa: S311 - spreads load, guards nothing
        self._ceiling_seconds = initial_seconds

    def next_seconds(self) -> float:
        """Return the wait before the next attempt, in seconds."""
        ceiling = self._ceiling_seconds
        self._ceiling_seconds = min(self._max_seconds, ceiling * 2)
        return ceiling * self._random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Begin with the shortest wait again after a success."""
        self._ceiling_seconds = self._initial_seconds


@dataclass(frozen=True, slots=True)
class RunControl:
    """Limit, stop event and clock of a long run, passed on unchanged to everything that it calls.

    The run ends as incomplete after ``no_progress_seconds`` without any progress, whichever of broker and sink is
    unavailable, and soon after ``stop`` is set. ``random`` jitters the waits between retries.
    """

    no_progress_seconds: float = 60.0
    stop: threading.Event | None = None
    clock: Clock = field(default_factory=SystemClock)
    random: Random = field(default_factory=Random)

    @property
    def stopped(self) -> bool:
        """Return whether ``stop`` was set."""
        return self.stop is not None and self.stop.is_set()


DEFAULT_CONTROL = RunControl()
"""No stop event; gives up after a minute without progress."""


def retry_until(step: Callable[[], _T], control: RunControl = DEFAULT_CONTROL, *, what: str) -> _T:
    """Call ``step`` until it succeeds, with a wait after each retryable failure, and return its result.

    Logs each cause once.
    Raises ``OutageError`` naming ``what`` after ``control.no_progress_seconds`` or once the run is stopped, and any
    error that is not retryable at once.
    """
    backoff = Backoff(initial_seconds=_RETRY_INITIAL_SECONDS, max_seconds=_RETRY_MAX_SECONDS, random=control.random)
    deadline = control.clock.monotonic() + control.no_progress_seconds
    told = ""
    while True:
        try:
            return step()
        except TelemetryError as error:
            if not error.retryable:
                raise
            if control.stopped or control.clock.monotonic() >= deadline:
                raise OutageError(f"{what} stayed unavailable: {error.message}") from error
            if error.message != told:
                logger.warning("waiting: %s", told := error.message)
            control.clock.sleep(backoff.next_seconds())
