"""The buffer between the app's threads and the sender thread."""

from __future__ import annotations

import _thread
import time
from collections import deque
from typing import Any

from flowise_telemetry.delivery.wakeup import Wakeup
from flowise_telemetry.stats import Counts, DropReason

__all__ = ["EventQueue", "QueuedEvent"]

QueuedEvent = tuple[Any, int, int, int]
"""The event, its sequence, when it occurred (milliseconds since 1970), its estimated bytes in memory."""


class EventQueue:
    """A queue bounded by events and bytes, both counted until the event is delivered, dropped or on disk alone.

    ``put`` may be called from any thread, from a signal handler in the middle of another ``put``, and from a
    destructor: it never waits. What was taken out counts as held until the sender thread, and no other, calls
    ``release``.
    """

    def __init__(self, *, max_events: int, max_bytes: int, wakeup: Wakeup) -> None:
        # The interpreter's own, also where gevent or eventlet have replaced it: nothing that is done while it is held
        # can switch to another greenlet, so greenlets of one thread never wait for it.
        self._lock = _thread.RLock()
        self._items: deque[QueuedEvent] = deque()
        self._bytes = 0
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._wakeup = wakeup
        self._held_events = 0
        self._held_bytes = 0
        self.numbered = 0
        """The sequence that the next event gets."""
        self.accepted = 0
        self.closed = False

    def put(self, event: Any, size_bytes: int) -> DropReason | None:
        """Accept the event and give it its sequence and time; return the reason if it is refused.

        An event that finds no room has a sequence too, so that the gap shows.
        """
        now_ms = time.time_ns() // 1_000_000
        with self._lock:
            if self.closed:
                return DropReason.CLOSED
            events = len(self._items) + self._held_events
            # From here on no call but the last: a signal handler runs after calls, and what it raises ends this one.
            sequence = self.numbered
            self.numbered = sequence + 1
            if events >= self._max_events or self._bytes + self._held_bytes + size_bytes > self._max_bytes:
                return DropReason.QUEUE_FULL
            self.accepted += 1
            self._bytes += size_bytes
            self._items.append((event, sequence, now_ms, size_bytes))
        if self._wakeup.idle:
            self._wakeup.ring()
        return None

    def take_all(self) -> deque[QueuedEvent]:
        """Take everything out; it counts as held from now on."""
        with self._lock:
            taken, self._items = self._items, deque()
            self._held_events += len(taken)
            self._held_bytes += self._bytes
            self._bytes = 0
        return taken

    def hold(self, events: int, size_bytes: int) -> None:
        """Count events that the sender read from disk, or bytes by which encoding changed the size of held ones."""
        self._held_events += events
        self._held_bytes += size_bytes

    def release(self, events: int, size_bytes: int) -> None:
        """Make room: these events are delivered, dropped, or on disk and no longer in memory."""
        self._held_events -= events
        self._held_bytes -= size_bytes

    def lowest_sequence(self) -> int:
        """Return the sequence of the first event; if the queue is empty, the one that the next event will get."""
        with self._lock:
            return self._items[0][1] if self._items else self.numbered

    def drop_all(self, counts: Counts, reason: DropReason) -> None:
        """Take everything out and count it as dropped."""
        for event, *_ in self.take_all():
            counts.drop(reason, type(event).EVENT)

    def close(self) -> None:
        """Refuse every later ``put``."""
        with self._lock:
            self.closed = True

    def __len__(self) -> int:
        return len(self._items)
