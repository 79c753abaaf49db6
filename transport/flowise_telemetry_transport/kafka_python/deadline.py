"""A time limit on calls into kafka-python, enforced by the network client of ``patches.blocking``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Deadline", "OutOfTimeError"]


class OutOfTimeError(Exception):
    """The call ran out of time. Never leaves the adapter."""


class Deadline:
    """A time limit on calls into the client by the thread that set it; the client's own threads are not limited.

    ``on_failure`` releases the threads and sockets of a client whose constructor failed.
    """

    def __init__(self) -> None:
        self.on_failure: Callable[[], None] = lambda: None
        self._at: float | None = None
        self._thread = 0

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """End calls inside after ``seconds``. A nested call (a commit in a rebalance callback) has its own limit."""
        before = self._at, self._thread
        self._at, self._thread = time.monotonic() + seconds, threading.get_ident()
        try:
            yield
        finally:
            self._at, self._thread = before

    def remaining_ms(self) -> float | None:
        """Return the milliseconds left, at least 0, or None if the current thread is not limited."""
        if self._at is None or threading.get_ident() != self._thread:
            return None
        return max(0.0, (self._at - time.monotonic()) * 1000)
