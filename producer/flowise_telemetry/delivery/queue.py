"""The buffer between the app's threads and the sender thread."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from typing import Any

from flowise_telemetry.stats import DropReason

__all__ = ["EventQueue", "Item"]

Item = tuple[Any, int, int, int]
"""The event, its sequence, when it occurred (milliseconds since 1970), its estimated bytes in memory."""


class EventQueue:
    """Bounded by count and bytes, together with what the sender has taken out and not delivered yet (``held_*``).

    ``put`` may be called from any thread, from a signal handler in the middle of another ``put``, and from a
    destructor: nothing in it waits.
    """

    def __init__(self, *, max_events: int, max_bytes: int, wake: Any) -> None:
        self._lock = threading.RLock()
        self._items: deque[Item] = deque()
        self._bytes = 0
        self._sequence = itertools.count()
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._wake = wake
        self.accepted = 0
        self.closed = False
        self.idle = False  # the sender sleeps, and has to be woken
        self.held_events = 0  # these two are written by the sender alone
        self.held_bytes = 0

    def put(self, event: Any, size: int) -> DropReason | None:
        """Gives the event its sequence and its time and takes it in; else says why not."""
        with self._lock:
            if self.closed:
                return DropReason.CLOSED
            if (
                len(self._items) + self.held_events >= self._max_events
                or self._bytes + self.held_bytes + size > self._max_bytes
            ):
                return DropReason.QUEUE_FULL
            sequence = next(self._sequence)
            self._items.append((event, sequence, time.time_ns() // 1_000_000, size))
            self._bytes += size
            self.accepted = sequence + 1
        if self.idle:
            self.idle = False
            self._wake()
        return None

    def take_all(self) -> deque[Item]:
        """Everything in it, now held by the sender."""
        with self._lock:
            taken, self._items = self._items, deque()
            self.held_events += len(taken)
            self.held_bytes += self._bytes
            self._bytes = 0
        return taken

    def lowest(self) -> int:
        """The sequence of the first event in it; where it is empty, the one that the next event will get."""
        with self._lock:
            return self._items[0][1] if self._items else self.accepted

    def close(self) -> None:
        """From now on ``put`` refuses."""
        with self._lock:
            self.closed = True

    def __len__(self) -> int:
        return len(self._items)
