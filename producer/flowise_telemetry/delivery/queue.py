"""The buffer between the app's threads and the sender thread."""

from __future__ import annotations

import _thread
import contextlib
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from flowise_telemetry.delivery.wakeup import Wakeup
from flowise_telemetry.identity.stream import Stream
from flowise_telemetry.stats import Counts, DropReason

if TYPE_CHECKING:
    from flowise_telemetry.encoding.given_envelope import GivenEnvelope

__all__ = ["EventQueue", "QueuedEvent", "drained"]

_Item = TypeVar("_Item")

QueuedEvent = tuple[Any, int, int, int, float, "GivenEnvelope | None"]
"""The event, its number in the process, when it was accepted (milliseconds since 1970), its estimated bytes in memory,
when it was accepted by the monotonic clock, and the envelope that came with it, if it is relayed.
"""


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
        """The number in this process that the next event gets."""
        self.stream = Stream()
        """The stream of the latest event; those before it follow by ``previous``."""
        self.accepted = 0
        self.closed = False

    def put(self, event: Any, size_bytes: int, given: GivenEnvelope | None = None) -> DropReason | None:
        """Accept the event and give it its number and time; return the reason if it is refused.

        An event that finds no room has a number too, so that the gap shows; not one with a ``given`` envelope, which
        whoever relays it still has.
        """
        now_ms, now = time.time_ns() // 1_000_000, time.monotonic()
        with self._lock:
            if self.closed:
                return DropReason.CLOSED
            if not self.stream.from_ms <= now_ms < self.stream.until_ms:
                self._begin_stream(now_ms)
            events = len(self._items) + self._held_events
            # From here on no call but the last: a signal handler runs after calls, and what it raises ends this one.
            full = events >= self._max_events or self._bytes + self._held_bytes + size_bytes > self._max_bytes
            if full and given is not None:
                return DropReason.QUEUE_FULL
            number = self.numbered
            self.numbered = number + 1
            if full:
                self.stream.refused_full += 1
                return DropReason.QUEUE_FULL
            self.accepted += 1
            self._bytes += size_bytes
            self._items.append((event, number, now_ms, size_bytes, now, given))
        if self._wakeup.idle:
            self._wakeup.ring()
        return None

    def refuse_invalid(self) -> None:
        """Give what was refused before it came here a number, so that its gap shows. Do nothing after ``close``."""
        now_ms = time.time_ns() // 1_000_000
        with self._lock:
            if self.closed:
                return
            if not self.stream.from_ms <= now_ms < self.stream.until_ms:
                self._begin_stream(now_ms)
            self.numbered += 1
            self.stream.refused_invalid += 1

    def _begin_stream(self, now_ms: int) -> None:
        fresh = Stream(now_ms)
        # From here on no call, as above.
        latest = self.stream
        fresh.first = latest.end = self.numbered
        if fresh.first > latest.first:
            fresh.previous = latest
        self.stream = fresh

    def stream_of(self, number: int) -> Stream | None:
        """Return the stream of an event by its number; None for one that is not of this process."""
        stream: Stream | None = self.stream if number >= 0 else None
        while stream is not None and stream.first > number:
            stream = stream.previous
        return stream

    def count_drop(self, number: int, reason: DropReason) -> None:
        """Tell the event's stream that it was dropped after it was accepted."""
        stream = self.stream_of(number)
        if stream is not None:
            stream.drop(reason)

    def count_delivered(self, numbers: Sequence[int]) -> None:
        """Tell the events' streams that they were delivered."""
        stream = self.stream
        if stream.previous is None:
            stream.delivered += sum([number >= 0 for number in numbers])
            return
        for number in numbers:
            if (found := self.stream_of(number)) is not None:
                found.delivered += 1

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
        """Return the number of the first event; if the queue is empty, the one that the next event will get."""
        with self._lock:
            return self._items[0][1] if self._items else self.numbered

    def drop_all(self, counts: Counts, reason: DropReason) -> None:
        """Take everything out and count it as dropped."""
        for event, number, *_ in self.take_all():
            self.count_drop(number, reason)
            counts.drop(reason, type(event).EVENT)

    def close(self) -> None:
        """Refuse every later ``put``."""
        with self._lock:
            self.closed = True

    def __len__(self) -> int:
        return len(self._items)


def drained(items: deque[_Item]) -> Iterator[_Item]:
    """Take items out until there are none; another thread may do so too."""
    with contextlib.suppress(IndexError):
        while True:
            yield items.popleft()
