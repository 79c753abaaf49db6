"""Events that are encoded and not delivered yet: in memory and, where there is a spool, on disk first."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from flowise_telemetry.delivery.queue import EventQueue
from flowise_telemetry.encoding.encoder import Encoded
from flowise_telemetry.stats import Counts, DropReason

if TYPE_CHECKING:
    from flowise_telemetry.spool.spool import Spool

__all__ = ["PendingEvents"]

logger = logging.getLogger("flowise_telemetry")

_SPOOL_PAUSE_SECONDS = 60.0
_ADOPT_EVERY_SECONDS = 60.0
_PORTION_EVENTS = 50


class PendingEvents:
    """The sender thread's store of events to send.

    With a spool, at most a window of events is in memory; the rest is read from disk as the window empties, so an
    outage may last as long as the disk allows. If the spool fails, events stay in memory and the spool is tried again
    after a minute; nothing is lost unless the app dies meanwhile.
    """

    def __init__(
        self,
        queue: EventQueue,
        counts: Counts,
        *,
        max_age_seconds: float,
        spool: Spool | None = None,
        window_events: int = 5_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._counts = counts
        self._max_age_ms = int(max_age_seconds * 1000)
        self._spool = spool
        self._window_events = window_events
        self._clock = clock
        self._ready: deque[Encoded] = deque()
        self._done_rows: list[int] = []  # to be removed from the spool
        self._last_read_row = 0  # the last row that is or was in memory
        self._more_on_disk = False  # rows after it
        self._spool_warned = False
        self._spool_paused_until = 0.0
        self._adopt_at = 0.0
        self._kept_elsewhere = 0

    def __len__(self) -> int:
        return len(self._ready)

    @property
    def spooled(self) -> int:
        """Undelivered events on disk. Any thread may ask."""
        if self._spool is None:
            return 0
        return self._kept_elsewhere + max(0, self._spool.events - len(self._done_rows))

    @property
    def next_update_seconds(self) -> float:
        """Longest time until ``update`` is due even if nothing happens."""
        return _ADOPT_EVERY_SECONDS if self._spool is not None else float("inf")

    def add(self, fresh: list[Encoded]) -> None:
        """Take over encoded events, writing them to disk first if there is a spool that works."""
        spooled = bool(fresh) and self._with_spool(lambda spool: spool.add(fresh))
        for encoded in fresh:
            if spooled and (self._more_on_disk or len(self._ready) >= self._window_events):
                self._more_on_disk = True
                self._queue.release(1, encoded.held_bytes)
                continue
            self._ready.append(encoded)
            self._last_read_row = max(self._last_read_row, encoded.row)

    @property
    def keeps(self) -> bool:
        """True if there is a spool."""
        return self._spool is not None

    def take_unspooled(self) -> list[Encoded]:
        """Remove and return what is in memory alone. Any thread may call it, when the sender's hangs."""
        return [encoded for encoded in _drained(self._ready) if not encoded.row]

    def keep_elsewhere(self, events: list[Encoded]) -> list[Encoded]:
        """Store events in a new file of the spool folder; return those that it cannot take. For any thread."""
        if self._spool is None:
            return events
        other = self._spool.another()
        left = _stored(other, events)
        self._kept_elsewhere += len(events) - len(left)
        with contextlib.suppress(Exception):
            other.close()
        return left

    def take(self) -> Encoded:
        """Remove and return the next event to send."""
        return self._ready.popleft()

    def put_back(self, events: Iterable[Encoded]) -> None:
        """Return events that could not be sent; they are the next again, in their order."""
        self._ready.extendleft(reversed(list(events)))

    def delivered(self, events: list[Encoded]) -> None:
        """Count events that Kafka acknowledged, and forget them."""
        self._counts.count_sent(len(events))
        self._queue.release(len(events), sum([encoded.held_bytes for encoded in events]))
        if self._spool is not None:
            self._done_rows += [encoded.row for encoded in events if encoded.row]

    def drop(self, encoded: Encoded, reason: DropReason, detail: object = "") -> None:
        """Count an event that will not be sent, and forget it."""
        self._counts.drop(reason, encoded.event, detail)
        self._queue.release(1, encoded.held_bytes)
        if encoded.row:
            self._done_rows.append(encoded.row)

    def update(self) -> None:
        """Remove delivered events from disk, adopt other processes' files, refill memory, drop what has expired."""
        if self._done_rows and self._with_spool(lambda spool: spool.remove(self._done_rows)):
            self._done_rows = []
        if self._spool is not None and self._clock() >= self._adopt_at:
            self._adopt_at = self._clock() + _ADOPT_EVERY_SECONDS
            self._with_spool(self._adopt)
        if self._more_on_disk and len(self._ready) <= self._window_events // 2:
            self._with_spool(self._read_on)
        oldest_ms = time.time_ns() // 1_000_000 - self._max_age_ms
        while self._ready and self._ready[0].occurred_at_ms < oldest_ms:
            self.drop(self._ready.popleft(), DropReason.EXPIRED)

    def _adopt(self, spool: Spool) -> None:
        adopted = spool.adopt()
        withdrawn, spool.withdrawn = spool.withdrawn, []
        self._counts.recovered += len(withdrawn)
        for event in withdrawn:
            self._counts.drop(DropReason.OPTED_OUT, event)
        if adopted:
            self._counts.recovered += adopted
            self._more_on_disk = True

    def _read_on(self, spool: Spool) -> None:
        found = spool.load(after_row=self._last_read_row, limit=self._window_events // 2)
        self._more_on_disk = len(found) == self._window_events // 2
        for encoded in found:
            self._queue.hold(1, encoded.held_bytes)
            self._ready.append(encoded)
            self._last_read_row = encoded.row

    def _drop_unread(self, spool: Spool) -> None:
        while found := spool.load(after_row=self._last_read_row, limit=self._window_events):
            self._last_read_row = found[-1].row
            for encoded in found:
                self._counts.drop(DropReason.OPTED_OUT, encoded.event)

    def _with_spool(self, use: Callable[[Spool], None]) -> bool:
        if self._spool is None or self._clock() < self._spool_paused_until:
            return False
        from flowise_telemetry.spool.spool import SpoolError

        try:
            use(self._spool)
        except SpoolError as error:
            self._spool_paused_until = self._clock() + _SPOOL_PAUSE_SECONDS
            logger.log(
                logging.DEBUG if self._spool_warned else logging.WARNING,
                "telemetry: cannot spool events, keeping them in memory: %s",
                error,
            )
            self._spool_warned = True
            return False
        return True

    def lowest_sequence(self) -> int | None:
        """Return the lowest sequence of the events here, on disk too; None if there are none."""
        waiting = [encoded.sequence for encoded in self._ready if encoded.sequence >= 0]
        if self._more_on_disk and self._spool is not None:
            found: list[int | None] = []
            self._with_spool(lambda spool: found.append(spool.lowest_sequence(after_row=self._last_read_row)))
            waiting += [sequence for sequence in found if sequence is not None]
        return min(waiting, default=None)

    def close(self, unsent: Iterable[Encoded], reason: DropReason) -> bool:
        """Drop what is in memory alone, or everything if the reason is ``OPTED_OUT``, and close the spool.

        Return False if events are left on disk for the next start.
        """
        settled = reason is DropReason.OPTED_OUT or not self._more_on_disk
        unsent = list(unsent)
        if self._spool is not None and reason is not DropReason.OPTED_OUT:
            # Once more, also if the disk was full a moment ago: some may fit that did not all at once.
            _stored(self._spool, [encoded for encoded in [*self._ready, *unsent] if not encoded.row])
        for encoded in [*self._ready, *unsent]:
            if not encoded.row or reason is DropReason.OPTED_OUT:
                self._counts.drop(reason, encoded.event)
            else:
                settled = False
        self._ready.clear()
        done, self._done_rows = self._done_rows, []
        if reason is DropReason.OPTED_OUT:
            self._with_spool(self._drop_unread)
            self._with_spool(lambda spool: spool.delete())
            return settled
        if done:
            self._with_spool(lambda spool: spool.remove(done))
        self._with_spool(lambda spool: spool.close())
        return settled


def _drained(events: deque[Encoded]) -> Iterator[Encoded]:
    with contextlib.suppress(IndexError):
        while True:
            yield events.popleft()


def _stored(spool: Spool, events: list[Encoded]) -> list[Encoded]:
    """Store events in portions, as a portion is stored whole or not at all; return what does not fit."""
    from flowise_telemetry.spool.spool import SpoolError

    left: list[Encoded] = []
    for portion in (events[start : start + _PORTION_EVENTS] for start in range(0, len(events), _PORTION_EVENTS)):
        try:
            spool.add(portion)
        except SpoolError as error:
            logger.debug("telemetry: cannot spool %d events: %s", len(portion), error)
            left += portion
    return left
