"""Events that are encoded and not delivered yet: in memory, and where there is a spool, on disk first."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
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


class PendingEvents:
    """Belongs to the sender thread.

    With a spool, at most a window of events is in memory; the others are read from disk as the window empties, so an
    outage can be as long as the disk allows. A spool that fails costs nothing but safety: events then stay in memory,
    and it is tried again after a minute.
    """

    def __init__(
        self,
        inbox: EventQueue,
        counts: Counts,
        *,
        max_age_seconds: float,
        spool: Spool | None = None,
        window_events: int = 5_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inbox = inbox
        self._counts = counts
        self._max_age_ms = int(max_age_seconds * 1000)
        self._spool = spool
        self._window_events = window_events
        self._clock = clock
        self._ready: deque[Encoded] = deque()
        self._done: list[int] = []  # rows to be forgotten
        self._read_row = 0  # the last row that is or was in memory
        self._behind = False  # there are rows after it
        self._spool_warned = False
        self._spool_paused_until = 0.0
        self._adopt_at = 0.0

    def __len__(self) -> int:
        return len(self._ready)

    @property
    def wants_turn_seconds(self) -> float:
        """When to call ``turn`` again even if nothing happens."""
        return _ADOPT_EVERY_SECONDS if self._spool is not None else float("inf")

    def add(self, fresh: list[Encoded]) -> None:
        """Takes encoded events over, safe on disk first where that works."""
        spooled = bool(fresh) and self._with_spool(lambda spool: spool.add(fresh))
        for encoded in fresh:
            if spooled and (self._behind or len(self._ready) >= self._window_events):
                self._behind = True
                self._release(encoded)
                continue
            self._ready.append(encoded)
            self._read_row = max(self._read_row, encoded.row)

    def waiting(self) -> list[Encoded]:
        """What is in memory. Any thread may ask."""
        return list(self._ready.copy())

    def take(self) -> Encoded:
        """The next event to send."""
        return self._ready.popleft()

    def put_back(self, events: Iterable[Encoded]) -> None:
        """Events that could not be sent now, in their order; they are the next again."""
        self._ready.extendleft(reversed(list(events)))

    def delivered(self, events: list[Encoded]) -> None:
        """Kafka has them."""
        self._counts.count_sent(len(events))
        self._inbox.held_events -= len(events)
        self._inbox.held_bytes -= sum([encoded.held_bytes for encoded in events])
        if self._spool is not None:
            self._done += [encoded.row for encoded in events if encoded.row]

    def drop(self, encoded: Encoded, reason: DropReason, detail: object = "") -> None:
        """It will not be sent."""
        self._counts.drop(reason, encoded.event, detail)
        self._release(encoded)
        if encoded.row:
            self._done.append(encoded.row)

    def _release(self, encoded: Encoded) -> None:
        self._inbox.held_events -= 1
        self._inbox.held_bytes -= encoded.held_bytes

    def turn(self) -> None:
        """Brings disk and memory together: forgets what is done, takes over, reads on, drops what is too old."""
        if self._done and self._with_spool(lambda spool: spool.remove(self._done)):
            self._done = []
        if self._spool is not None and self._clock() >= self._adopt_at:
            self._adopt_at = self._clock() + _ADOPT_EVERY_SECONDS
            self._with_spool(self._adopt)
        if self._behind and len(self._ready) <= self._window_events // 2:
            self._with_spool(self._read_on)
        oldest_ms = time.time_ns() // 1_000_000 - self._max_age_ms
        while self._ready and self._ready[0].occurred_at_ms < oldest_ms:
            self.drop(self._ready.popleft(), DropReason.EXPIRED)

    def _adopt(self, spool: Spool) -> None:
        adopted = spool.adopt()
        if adopted:
            self._counts.recovered += adopted
            self._behind = True

    def _read_on(self, spool: Spool) -> None:
        found = spool.load(after_row=self._read_row, limit=self._window_events // 2)
        self._behind = len(found) == self._window_events // 2
        for encoded in found:
            self._inbox.held_events += 1
            self._inbox.held_bytes += encoded.held_bytes
            self._ready.append(encoded)
            self._read_row = encoded.row

    def _drop_unread(self, spool: Spool) -> None:
        while found := spool.load(after_row=self._read_row, limit=self._window_events):
            self._read_row = found[-1].row
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
                "telemetry: the spool takes no events, they stay in memory: %s",
                error,
            )
            self._spool_warned = True
            return False
        return True

    def lowest_sequence(self) -> int | None:
        """The lowest sequence of the events that wait here, on disk too."""
        waiting = [encoded.sequence for encoded in self._ready if encoded.sequence >= 0]
        if self._behind and self._spool is not None:
            found: list[int | None] = []
            self._with_spool(lambda spool: found.append(spool.lowest_sequence(after_row=self._read_row)))
            waiting += [sequence for sequence in found if sequence is not None]
        return min(waiting, default=None)

    def close(self, unsent: Iterable[Encoded], reason: DropReason) -> bool:
        """Ends it: drops what waits and is not on disk, or with ``OPTED_OUT`` all of it.

        True if nothing waits any more, False if something is left on disk.
        """
        settled = reason is DropReason.OPTED_OUT or not self._behind
        for encoded in [*self._ready, *unsent]:
            if not encoded.row or reason is DropReason.OPTED_OUT:
                self._counts.drop(reason, encoded.event)
            else:
                settled = False
        self._ready.clear()
        done, self._done = self._done, []
        if reason is DropReason.OPTED_OUT:
            self._with_spool(self._drop_unread)
            self._with_spool(lambda spool: spool.delete())
            return settled
        if done:
            self._with_spool(lambda spool: spool.remove(done))
        self._with_spool(lambda spool: spool.close())
        return settled
