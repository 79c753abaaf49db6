"""The one thread that encodes, sends and counts."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from flowise_telemetry.delivery.in_flight import InFlight
from flowise_telemetry.delivery.pending import PendingEvents
from flowise_telemetry.delivery.queue import EventQueue, QueuedEvent
from flowise_telemetry.delivery.wakeup import Wakeup
from flowise_telemetry.encoding.encoder import Encoded, Encoder, event_name
from flowise_telemetry.stats import Counts, DropReason
from flowise_telemetry_schemas.errors import ValidationError

__all__ = ["Sender"]

logger = logging.getLogger("flowise_telemetry")

_ENCODE_AT_ONCE_EVENTS = 500
_UNEXPECTED_WAIT_SECONDS = 1.0
_FLUSH_CHECK_SECONDS = 0.1
_ANNOUNCE_SECONDS = 0.02
_STOP_SENDING_AT = 0.8  # of the time that ``stop`` has; the rest is for closing client and spool


class Sender:
    """Takes events out of the queue and sees each through to delivered or dropped.

    ``make_encoder`` is called on the sender thread, because it may create the local secret. ``may_send`` is asked
    before every use of events; after its first False all waiting events are dropped and the thread ends.
    """

    def __init__(
        self,
        *,
        queue: EventQueue,
        wakeup: Wakeup,
        counts: Counts,
        pending: PendingEvents,
        in_flight: InFlight,
        make_encoder: Callable[[], Encoder],
        may_send: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._wakeup = wakeup
        self._counts = counts
        self._pending = pending
        self._in_flight = in_flight
        self._make_encoder = make_encoder
        self._may_send = may_send
        self._clock = clock
        self._encoder: Encoder | None = None
        self._unencoded: deque[QueuedEvent] = deque()
        self._reason_for_rest = DropReason.CLOSED
        self._stop_at: float | None = None
        self._flushing = 0
        self._announce_at = 0.0
        self._settled = threading.Condition()
        self._lowest_unsettled = 0
        self._thread: threading.Thread | None = None

    # -- for the app's threads ------------------------------------------------------------------------------------

    @property
    def spooled(self) -> int:
        """Undelivered events on disk."""
        return self._pending.spooled

    def start(self) -> None:
        """Start the thread. Raises ``RuntimeError`` if the process cannot have another one."""
        thread = threading.Thread(target=self._run, name="flowise-telemetry", daemon=True)
        thread.start()
        self._thread = thread

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until everything accepted before the call is delivered or dropped; return False at the time limit."""
        target = self._queue.accepted
        if self._thread is threading.current_thread():
            return False  # called from on_drop: it would wait for itself
        deadline = self._clock() + timeout_seconds
        self._in_flight.backoff.retry_now()
        with self._settled:
            self._flushing += 1
            try:
                while self._lowest_unsettled < target:
                    remaining = deadline - self._clock()
                    if remaining <= 0 or self._thread is None or not self._thread.is_alive():
                        return False
                    self._wakeup.ring()
                    # In short waits, as the thread may end without a notice.
                    self._settled.wait(min(remaining, _FLUSH_CHECK_SECONDS))
            finally:
                self._flushing -= 1
        return True

    def stop(self, timeout_seconds: float) -> None:
        """Deliver what is possible within the time, close the client, and count the rest as ``closed``."""
        self._queue.close()
        self._stop_at = self._clock() + timeout_seconds * _STOP_SENDING_AT
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return
        self._wakeup.ring()
        thread.join(timeout_seconds)
        if thread.is_alive():
            self._give_up()

    def _give_up(self) -> None:
        """Count everything as dropped, for good, because the thread hangs in the client."""
        # Counts only: the thread may come back, and owns its collections and its spool.
        names = [event_name(item[0]) for item in [*self._queue.take_all(), *self._unencoded.copy()]]
        held = [*self._pending.in_memory(), *self._in_flight.unanswered()]
        for name in [*names, *(encoded.event for encoded in held if not encoded.row)]:
            self._counts.drop(DropReason.CLOSED, name)
        self._counts.freeze()

    # -- the thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._is_over():
            try:
                self._turn()
                wait = self._idle_seconds()
            except Exception as error:  # a bug of ours must not end the deliveries
                logger.warning("telemetry: the sender failed and continues: %r", error)
                logger.debug("telemetry: the sender failed", exc_info=True)
                wait = _UNEXPECTED_WAIT_SECONDS
            self._announce()
            if wait != 0.0:
                self._wakeup.wait(wait, has_work=self._has_work)
        unanswered = self._in_flight.close(self._remaining_seconds())
        self._drop_rest(unanswered)

    def _is_over(self) -> bool:
        if self._stop_at is None:
            return False
        waiting = len(self._queue) + len(self._unencoded) + len(self._pending)
        if not waiting and not len(self._in_flight):
            return True
        remaining = self._remaining_seconds()
        return remaining <= 0 or (not len(self._in_flight) and self._in_flight.backoff.wait_seconds() >= remaining)

    def _remaining_seconds(self) -> float:
        return float("inf") if self._stop_at is None else max(0.0, self._stop_at - self._clock())

    def _turn(self) -> None:
        self._in_flight.take_answers()
        if not self._may_send():
            self._queue.close()
            self._reason_for_rest = DropReason.OPTED_OUT
            self._stop_at = self._clock()
            return
        self._encode_some()
        self._pending.update()
        self._in_flight.send_some()
        self._in_flight.poll()

    def _has_work(self) -> bool:
        return bool(len(self._queue)) or self._in_flight.has_answers

    def _idle_seconds(self) -> float | None:
        """Return the time until something is due; None if only a new event or an answer can bring work."""
        if self._unencoded or self._has_work() or self._is_over():
            return 0.0
        shortest = min(self._remaining_seconds(), self._pending.next_update_seconds, self._in_flight.idle_seconds())
        return None if shortest == float("inf") else shortest

    def _encode_some(self) -> None:
        if len(self._queue):
            self._unencoded.extend(self._queue.take_all())
        if not self._unencoded:
            return
        encoder = self._encoder = self._encoder or self._make_encoder()
        fresh: list[Encoded] = []
        grown_bytes = 0
        for _ in range(min(len(self._unencoded), _ENCODE_AT_ONCE_EVENTS)):
            event, sequence, occurred_at_ms, size_bytes = self._unencoded.popleft()
            try:
                encoded = encoder.encode(event, sequence, occurred_at_ms)
            except Exception as error:
                # An object that lies about its class can raise anything, with a text that must not be logged.
                detail = error if isinstance(error, ValidationError) else type(error).__name__
                self._queue.release(1, size_bytes)
                self._counts.drop(DropReason.INVALID, event_name(event), detail)
                continue
            grown_bytes += encoded.held_bytes - size_bytes
            fresh.append(encoded)
        self._queue.hold(0, grown_bytes)
        self._pending.add(fresh)

    def _drop_rest(self, unanswered: list[Encoded]) -> None:
        """Settle the counts of everything that is left, except what a spool keeps for the next start."""
        rest = [*self._queue.take_all(), *self._unencoded]
        self._unencoded.clear()
        for item in rest:
            self._counts.drop(self._reason_for_rest, event_name(item[0]))
        if self._pending.close(unanswered, self._reason_for_rest):
            with self._settled:
                self._lowest_unsettled = self._queue.accepted
                self._settled.notify_all()

    def _announce(self) -> None:
        """Let waiting flushes know up to which sequence every event is settled."""
        if not self._flushing:
            return
        now = self._clock()
        many = len(self._in_flight) + len(self._pending) > _ENCODE_AT_ONCE_EVENTS
        if many and now < self._announce_at:
            return  # the search for the lowest sequence each time would cost more than sending
        self._announce_at = now + _ANNOUNCE_SECONDS
        lowest = self._queue.lowest_sequence()
        if self._unencoded:
            lowest = min(lowest, self._unencoded[0][1])
        if (waiting := self._pending.lowest_sequence()) is not None:
            lowest = min(lowest, waiting)
        in_flight = (encoded.sequence for encoded in self._in_flight.unanswered() if encoded.sequence >= 0)
        lowest = min(lowest, min(in_flight, default=lowest))
        with self._settled:
            self._lowest_unsettled = lowest
            self._settled.notify_all()
