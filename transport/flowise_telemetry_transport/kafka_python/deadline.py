"""A bound for calls of kafka-python, kept by the network client that ``patches.blocking`` gives it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Deadline", "OutOfTimeError"]


class OutOfTimeError(Exception):
    """The call ran out of time. Never leaves the adapter."""


class Deadline:
    """The time that the thread which set it may spend inside the client; the client's own threads are not bound.

    ``on_failure`` releases the threads and sockets of a client whose constructor failed.
    """

    def __init__(self) -> None:
        self.on_failure: Callable[[], None] = lambda: None
        self._at: float | None = None
        self._thread = 0

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """End calls inside after ``seconds``. A nested one (a commit in a rebalance callback) has its own time."""
        before = self._at, self._thread
        self._at, self._thread = time.monotonic() + seconds, threading.get_ident()
        try:
            yield
        finally:
            self._at, self._thread = before

    def remaining_ms(self) -> float | None:
        """Return the milliseconds left, at least 0, or None if the current thread is not bound."""
        if self._at is None or threading.get_ident() != self._thread:
            return None
        return max(0.0, (self._at - time.monotonic()) * 1000)
