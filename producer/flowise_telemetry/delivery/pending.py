"""Events that are encoded and not delivered yet: in memory and, where there is a spool, on disk first."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from flowise_telemetry.delivery.ages import Ages, age_order
from flowise_telemetry.delivery.queue import EventQueue, drained
from flowise_telemetry.encoding.encoder import Encoded
from flowise_telemetry.stats import Counts, DropReason

if TYPE_CHECKING:
    from flowise_telemetry.spool.spool import Spool

__all__ = ["PendingEvents"]

logger = logging.getLogger("flowise_telemetry")

_SPOOL_PAUSE_SECONDS = 5.0
_ADOPT_EVERY_SECONDS = 60.0
_PORTION_EVENTS = 50


class PendingEvents:
    """The sender thread's store of events to send.

    With a spool, at most a window of events and bytes is in memory, those in flight included; the rest is read from
    disk as the window empties, so an outage may last as long as the disk allows. Where the spool takes no more, events
    stay in memory and what fails is tried again after some seconds; nothing is lost unless the app dies meanwhile.
    """

    def __init__(
        self,
        queue: EventQueue,
        counts: Counts,
        *,
        max_age_seconds: float,
        spool: Spool | None = None,
        window_events: int = 5_000,
        window_bytes: int = 8_388_608,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._counts = counts
        self._max_age_seconds = max_age_seconds
        self._ages = Ages()
        self._spool = spool
        self._window_events = window_events
        self._window_bytes = window_bytes
        self._clock = clock
        self._ready: deque[Encoded] = deque()
        self._held_events = 0  # here and in flight
        self._held_bytes = 0
        self._done_rows: list[int] = []  # to be removed from the spool
        self._spool_warned = False
        self._paused_until: dict[str, float] = {}  # by what is done with the spool
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
        if self._spool is None:
            return float("inf")
        if self._spool.unread:
            return _SPOOL_PAUSE_SECONDS
        return max(0.0, self._adopt_at - self._clock())

    def add(self, fresh: list[Encoded]) -> None:
        """Take over encoded events, writing them to disk first if there is a spool that works."""
        if not fresh:
            return
        spill = self._spool is not None and self._spool.unread
        self._with_spool("add", lambda spool: spool.add(fresh))
        last_row = 0
        self._counts.unspooled += sum([not encoded.row for encoded in fresh])
        for encoded in fresh:
            spill = spill or self._is_full(1)
            self._ages.note(encoded)
            if spill and encoded.row:
                self._queue.release(1, encoded.held_bytes)
                continue
            self._hold(encoded)
            last_row = max(last_row, encoded.row)
        if self._spool is not None:
            self._spool.skip_to(last_row)

    def _is_full(self, parts: int) -> bool:
        """Return True if the window is filled to one of so many parts."""
        return self._held_events * parts >= self._window_events or self._held_bytes * parts >= self._window_bytes

    def _hold(self, encoded: Encoded) -> None:
        self._held_events += 1
        self._held_bytes += encoded.held_bytes
        self._ready.append(encoded)

    def _release(self, events: int, size_bytes: int) -> None:
        self._held_events -= events
        self._held_bytes -= size_bytes
        self._queue.release(events, size_bytes)

    @property
    def keeps(self) -> bool:
        """True if there is a spool."""
        return self._spool is not None

    def take_unspooled(self) -> list[Encoded]:
        """Remove and return what is in memory alone. Any thread may call it, when the sender's hangs."""
        return [encoded for encoded in drained(self._ready) if not encoded.row]

    def keep_elsewhere(self, events: list[Encoded]) -> list[Encoded]:
        """Store events in a new file of the spool folder; return those that it cannot take. For any thread."""
        if self._spool is None:
            return events
        other = self._spool.another()
        left = _stored(other, events)
        self._kept_elsewhere += sum([not encoded.is_control for encoded in events if encoded.row])
        with contextlib.suppress(Exception):
            other.close()
        return left

    def take(self) -> Encoded:
        """Remove and return the next event to send."""
        return self._ready.popleft()

    def add_control(self, records: Iterable[Encoded]) -> None:
        """Take over control records. They go to disk at the end only: the next one makes up for one that is lost."""
        for encoded in records:
            encoded.accepted_at = self._clock()
            self._queue.hold(1, encoded.held_bytes)
            self._hold(encoded)

    def put_back(self, events: Iterable[Encoded]) -> None:
        """Return events that could not be sent; they are the next again, the oldest first."""
        again = sorted(events, key=age_order)
        if again and self._ready and age_order(again[-1]) > age_order(self._ready[0]):
            # The client gave up later ones before these.
            again = sorted([*again, *self._ready], key=age_order)
            self._ready.clear()
        self._ready.extendleft(reversed(again))

    def delivered(self, events: list[Encoded]) -> None:
        """Count events that Kafka acknowledged, and forget them."""
        self._counts.count_sent(sum([not encoded.is_control for encoded in events]))
        self._counts.unspooled -= sum([not encoded.row and not encoded.is_control for encoded in events])
        self._queue.count_delivered([encoded.sequence for encoded in events])
        self._release(len(events), sum([encoded.held_bytes for encoded in events]))
        if self._spool is not None:
            self._done_rows += [encoded.row for encoded in events if encoded.row]

    def drop(self, encoded: Encoded, reason: DropReason, detail: object = "") -> None:
        """Count an event that will not be sent, and forget it."""
        self._count_drop(encoded, reason, detail)
        self._release(1, encoded.held_bytes)
        if encoded.row:
            self._done_rows.append(encoded.row)
        elif not encoded.is_control:
            self._counts.unspooled -= 1

    def _count_drop(self, encoded: Encoded, reason: DropReason, detail: object = "") -> None:
        if encoded.is_control:
            logger.debug("telemetry: a record of the stream's counts is lost (%s): %s", reason.value, detail)
            return
        self._queue.count_drop(encoded.sequence, reason)
        self._counts.drop(reason, encoded.event, detail)

    def drop_unsent(self, reason: DropReason) -> None:
        """Drop what was not handed to the client and is in memory alone."""
        for encoded in self.take_unspooled():
            self.drop(encoded, reason)

    def update(self) -> None:
        """Remove delivered events from disk, adopt other processes' files, refill memory, drop what has expired."""
        if self._done_rows:
            self._with_spool("remove", self._remove)
        if self._spool is not None:
            # One file at a time: the next one when this one is read, or found by the process beside this one.
            if not self._spool.unread and self._clock() >= self._adopt_at and not self._is_full(2):
                self._with_spool("adopt", self._adopt)
            if self._spool.unread and not self._is_full(2):
                self._with_spool("read", self._read_on)
        oldest = self._clock() - self._max_age_seconds
        while self._ready and self._ready[0].accepted_at < oldest:
            self.drop(self._ready.popleft(), DropReason.EXPIRED)

    def _remove(self, spool: Spool) -> None:
        done, self._done_rows = self._done_rows, []
        spool.remove(done)

    def _adopt(self, spool: Spool) -> None:
        found = spool.adopt()
        if found is None:
            self._adopt_at = self._clock() + _ADOPT_EVERY_SECONDS
            return
        self._ages.adopt(wall_seconds=time.time(), monotonic_seconds=self._clock())
        self._counts.recovered += found.unsettled + found.withdrawn.total()
        for event in found.withdrawn.elements():
            self._counts.drop(DropReason.OPTED_OUT, event)

    def _read_on(self, spool: Spool) -> None:
        for encoded in spool.read(
            max_events=max(1, self._window_events // 2), max_bytes=max(1, self._window_bytes // 2)
        ):
            self._ages.restore(encoded)
            self._queue.hold(1, encoded.held_bytes)
            self._hold(encoded)

    def _drop_unread(self, spool: Spool) -> None:
        for event in spool.unread_by_name().elements():
            self._counts.drop(DropReason.OPTED_OUT, event)

    def _with_spool(self, name: str, use: Callable[[Spool], None]) -> bool:
        """Return False if it failed, or did so a moment ago."""
        if self._spool is None or self._clock() < self._paused_until.get(name, 0.0):
            return False
        from flowise_telemetry.spool.spool import SpoolError, SpoolFullError

        try:
            use(self._spool)
        except SpoolError as error:
            # A full one has room again as soon as something is removed, and tells so without touching the disk.
            pause_seconds = 0.0 if isinstance(error, SpoolFullError) else _SPOOL_PAUSE_SECONDS
            self._paused_until[name] = self._clock() + pause_seconds
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
        if self._spool is not None and self._spool.unread:
            found: list[int | None] = []
            self._with_spool("look", lambda spool: found.append(spool.lowest_sequence()))
            waiting += [sequence for sequence in found if sequence is not None]
        return min(waiting, default=None)

    def close(self, unsent: Iterable[Encoded], reason: DropReason) -> bool:
        """Drop what is in memory alone, or everything if the reason is ``OPTED_OUT``, and close the spool.

        Return False if events are left on disk for the next start.
        """
        settled = reason is DropReason.OPTED_OUT or self._spool is None or not self._spool.unread
        unsent = list(unsent)
        if self._spool is not None and reason is not DropReason.OPTED_OUT:
            # Once more, also if the disk was full a moment ago: some may fit that did not all at once.
            _stored(self._spool, [encoded for encoded in [*self._ready, *unsent] if not encoded.row])
        for encoded in [*self._ready, *unsent]:
            if not encoded.row or reason is DropReason.OPTED_OUT:
                self._count_drop(encoded, reason)
            else:
                settled = False
        self._ready.clear()
        done, self._done_rows = self._done_rows, []
        if reason is DropReason.OPTED_OUT:
            self._with_spool("drop", self._drop_unread)
            self._with_spool("delete", lambda spool: spool.delete())
            return settled
        if done:
            self._with_spool("last", lambda spool: spool.remove(done))
        self._with_spool("close", lambda spool: spool.close())
        return settled


def _stored(spool: Spool, events: list[Encoded]) -> list[Encoded]:
    """Store events in portions, as some may fit where all do not; return what does not fit."""
    from flowise_telemetry.spool.spool import SpoolError

    for portion in (events[start : start + _PORTION_EVENTS] for start in range(0, len(events), _PORTION_EVENTS)):
        try:
            spool.add(portion)
        except SpoolError as error:
            logger.debug("telemetry: cannot spool %d events: %s", len(portion), error)
    return [encoded for encoded in events if not encoded.row]
