"""Connections on which no request comes to its end: uvicorn waits for the rest of the headers as long as they take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["IdleConnections"]


class IdleConnections:
    """Closes connections whose first request is not complete after ``first_seconds``, or a later one after ``seconds``.

    ``look`` is called now and then with uvicorn's protocol objects, one for each connection.
    """

    def __init__(self, *, first_seconds: float, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._first_seconds = first_seconds
        self._seconds = seconds
        self._clock = clock
        self._waiting: dict[Any, tuple[Any, float]] = {}  # by connection: its latest request, and since when

    def look(self, connections: Iterable[Any]) -> None:
        """Close those that have waited for too long."""
        now = self._clock()
        still: dict[Any, tuple[Any, float]] = {}
        for connection in connections:
            latest = getattr(connection, "cycle", None)  # None until the headers of the first request are complete
            if latest is not None and not latest.response_complete:
                continue
            known, since = self._waiting.get(connection, (latest, now))
            since = since if known is latest else now
            if now - since > (self._first_seconds if latest is None else self._seconds):
                connection.transport.close()
            else:
                still[connection] = (latest, since)
        self._waiting = still
