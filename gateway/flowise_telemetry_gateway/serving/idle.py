"""Connections that come to no end: uvicorn waits for the rest of headers, and for answers to be read, for ever."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["IdleConnections"]


class IdleConnections:
    """Closes connections whose first request is not complete after ``first_seconds``, or a later one after ``seconds``.

    One whose client does not read its answer is cut off after ``busy_seconds``. ``look`` is called now and then with
    uvicorn's protocol objects, one for each connection.
    """

    def __init__(
        self,
        *,
        first_seconds: float,
        seconds: float,
        busy_seconds: float = float("inf"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._busy_seconds = busy_seconds
        self._first_seconds = first_seconds
        self._seconds = seconds
        self._clock = clock
        self._since: dict[Any, tuple[Any, bool, float]] = {}  # by connection: its request, whether it is answered, when
        self._closed: set[Any] = set()

    def look(self, connections: Iterable[Any]) -> None:
        """Close those that have waited for too long."""
        now = self._clock()
        since: dict[Any, tuple[Any, bool, float]] = {}
        closed: set[Any] = set()
        for connection in connections:
            cycle = getattr(connection, "cycle", None)  # None until the headers of the first request are complete
            waits = cycle is None or cycle.response_complete
            before, waited, at = self._since.get(connection, (cycle, waits, now))
            at = at if before is cycle and waited == waits else now
            since[connection] = cycle, waits, at
            if not waits:
                if now - at > self._busy_seconds:
                    connection.transport.abort()
            elif now - at > (self._first_seconds if cycle is None else self._seconds):
                if connection in self._closed:
                    connection.transport.abort()  # the close waits for an answer to be read
                else:
                    connection.transport.close()
                closed.add(connection)
        self._since, self._closed = since, closed
