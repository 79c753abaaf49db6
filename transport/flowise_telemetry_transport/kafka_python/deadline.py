"""Bounds for the calls of kafka-python that have none: commit, committed, offset look-ups, joining a group.

They loop in ``while True: client.poll(future=…)`` until the broker answers. The client class can be given by
configuration
(``kafka_client``), so ours raises out of that loop when the time is up. All callers hold their locks in ``with``
blocks and keep a half-done join for the next call, as they must for Java's ``wakeup``, from which they are ported.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Deadline", "OutOfTimeError", "bounded_client"]

_STEP_MS = 100.0


class OutOfTimeError(Exception):
    """The time given to the call is up; never leaves the adapter."""


class Deadline:
    """How long the thread that set it may stay inside the client; the client's own threads are not bound.

    ``on_failure`` lets go of what a client that could not be made has taken.
    """

    def __init__(self) -> None:
        self.on_failure: Callable[[], None] = lambda: None
        self._at: float | None = None
        self._thread = 0

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Calls inside end after ``seconds``; nested ones (a commit in a rebalance callback) have their own time."""
        before = self._at, self._thread
        self._at, self._thread = time.monotonic() + seconds, threading.get_ident()
        try:
            yield
        finally:
            self._at, self._thread = before

    def remaining_ms(self) -> float | None:
        """Milliseconds left, at least 0; None when this thread is not bound."""
        if self._at is None or threading.get_ident() != self._thread:
            return None
        return max(0.0, (self._at - time.monotonic()) * 1000)


def bounded_client(deadline: Deadline) -> Any:
    """What makes a ``KafkaClient`` that keeps the deadline, for the ``kafka_client`` setting."""
    try:
        from kafka.client_async import KafkaClient
    except ImportError:  # kafka-python 3
        from flowise_telemetry_transport.kafka_python.patches.network import bounded_network_client

        return bounded_network_client(deadline)

    class BoundedClient(KafkaClient):  # type: ignore[misc]  # kafka-python ships no types
        def poll(self, timeout_ms: float | None = None, future: Any = None) -> Any:
            remaining = deadline.remaining_ms()
            if remaining is None:
                return super().poll(timeout_ms=timeout_ms, future=future)
            if future is None:
                if timeout_ms is None:
                    if remaining == 0:
                        raise OutOfTimeError
                    timeout_ms = _STEP_MS
                return super().poll(timeout_ms=min(timeout_ms, remaining))
            responses: list[Any] = []
            while True:
                responses.extend(super().poll(timeout_ms=0 if future.is_done else min(_STEP_MS, remaining)))
                if future.is_done:
                    return responses
                remaining = deadline.remaining_ms()
                if not remaining:
                    raise OutOfTimeError

    return BoundedClient
