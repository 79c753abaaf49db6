"""The one thread that encodes, sends and counts."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable

from flowise_telemetry.delivery.in_flight import InFlight
from flowise_telemetry.delivery.pending import PendingEvents
from flowise_telemetry.delivery.queue import EventQueue, Item
from flowise_telemetry.encoding.encoder import Encoded, Encoder, event_name
from flowise_telemetry.stats import Counts, DropReason
from flowise_telemetry_schemas.errors import ValidationError

__all__ = ["Sender"]

logger = logging.getLogger("flowise_telemetry")

_ENCODE_AT_ONCE_EVENTS = 500
_UNEXPECTED_WAIT_SECONDS = 1.0
_FLUSH_LOOK_SECONDS = 0.1
_ANNOUNCE_SECONDS = 0.02
_STOP_SENDING_AT = 0.8  # of the time that ``stop`` has; the rest is for letting go of client and spool


class Sender:
    """Takes events out of the inbox and sees each through to delivered or dropped.

    ``make_encoder`` is called on this thread, as it may have to make the local secret. ``may_send`` is asked before
    anything is done with events; after its first False everything that waits is dropped and the thread ends.
    """

    def __init__(
        self,
        *,
        inbox: EventQueue,
        bell: queue.SimpleQueue[None],
        counts: Counts,
        outbox: PendingEvents,
        deliveries: InFlight,
        make_encoder: Callable[[], Encoder],
        may_send: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inbox = inbox
        self._bell = bell
        self._counts = counts
        self._outbox = outbox
        self._deliveries = deliveries
        self._make_encoder = make_encoder
        self._may_send = may_send
        self._clock = clock
        self._encoder: Encoder | None = None
        self._raw: deque[Item] = deque()
        self._reason_of_rest = DropReason.CLOSED
        self._stop_at: float | None = None
        self._flushing = 0
        self._announce_at = 0.0
        self._settled = threading.Condition()
        self._lowest_pending = 0
        self._thread: threading.Thread | None = None

    # -- for the app's threads ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Starts the thread. Raises ``RuntimeError`` where the process can have no more."""
        thread = threading.Thread(target=self._run, name="flowise-telemetry", daemon=True)
        thread.start()
        self._thread = thread

    def flush(self, timeout_seconds: float) -> bool:
        """Waits until all that was accepted before the call is delivered or dropped; False when the time is up."""
        target = self._inbox.accepted
        if self._thread is threading.current_thread():
            return False  # from on_drop: waiting for ourselves
        deadline = self._clock() + timeout_seconds
        self._deliveries.outage.try_now()
        with self._settled:
            self._flushing += 1
            try:
                while self._lowest_pending < target:
                    remaining = deadline - self._clock()
                    if remaining <= 0 or self._thread is None or not self._thread.is_alive():
                        return False
                    self._bell.put(None)
                    # The bound on each wait is for a thread that dies.
                    self._settled.wait(min(remaining, _FLUSH_LOOK_SECONDS))
            finally:
                self._flushing -= 1
        return True

    def stop(self, timeout_seconds: float) -> None:
        """Delivers what it can within the time, lets go of the client, and counts the rest as ``closed``."""
        self._inbox.close()
        self._stop_at = self._clock() + timeout_seconds * _STOP_SENDING_AT
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return
        self._bell.put(None)
        thread.join(timeout_seconds)
        if thread.is_alive():
            # It hangs in the client. All is counted as dropped now, and what comes of it later no longer counts.
            self._give_up()

    def _give_up(self) -> None:
        # Nothing is changed here: the thread may wake up, and its spool is its own.
        names = [event_name(item[0]) for item in [*self._inbox.take_all(), *self._raw.copy()]]
        held = [*self._outbox.waiting(), *self._deliveries.waiting()]
        for name in [*names, *(encoded.event for encoded in held if not encoded.row)]:
            self._counts.drop(DropReason.CLOSED, name)
        self._counts.freeze()

    # -- the thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._is_over():
            try:
                self._turn()
            except Exception as error:  # a fault of ours must not end the deliveries
                logger.warning("telemetry: the sender failed and goes on: %r", error)
                logger.debug("telemetry: the sender failed", exc_info=True)
                self._sleep(_UNEXPECTED_WAIT_SECONDS)
            self._announce()
        left = self._deliveries.close(self._remaining_seconds())
        self._drop_rest(left)

    def _is_over(self) -> bool:
        if self._stop_at is None:
            return False
        waiting = len(self._inbox) + len(self._raw) + len(self._outbox)
        if not waiting and not len(self._deliveries):
            return True
        remaining = self._remaining_seconds()
        return remaining <= 0 or (not len(self._deliveries) and self._deliveries.outage.wait_seconds() >= remaining)

    def _remaining_seconds(self) -> float:
        return float("inf") if self._stop_at is None else max(0.0, self._stop_at - self._clock())

    def _turn(self) -> None:
        self._deliveries.take_answers()
        if not self._may_send():
            self._inbox.close()
            self._reason_of_rest = DropReason.OPTED_OUT
            self._stop_at = self._clock()
            return
        self._encode_some()
        self._outbox.turn()
        self._deliveries.send_some()
        self._deliveries.poll()
        self._deliveries.take_answers()
        self._announce()
        self._sleep(self._idle_seconds())

    def _idle_seconds(self) -> float | None:
        if self._raw or len(self._inbox) or self._is_over():
            return 0.0
        shortest = min(self._remaining_seconds(), self._outbox.wants_turn_seconds, self._deliveries.idle_seconds())
        return None if shortest == float("inf") else shortest

    def _sleep(self, seconds: float | None) -> None:
        if seconds == 0.0:
            return
        self._inbox.idle = True
        # Looked at again: what came before the flag went up did not ring.
        if not len(self._inbox) and not self._deliveries.answered:
            with contextlib.suppress(queue.Empty):
                self._bell.get(timeout=seconds)
        self._inbox.idle = False
        with contextlib.suppress(queue.Empty):
            while True:
                self._bell.get_nowait()

    def _encode_some(self) -> None:
        if len(self._inbox):
            self._raw.extend(self._inbox.take_all())
        if not self._raw:
            return
        encoder = self._encoder = self._encoder or self._make_encoder()
        fresh: list[Encoded] = []
        for _ in range(min(len(self._raw), _ENCODE_AT_ONCE_EVENTS)):
            event, sequence, occurred_at_ms, size = self._raw.popleft()
            try:
                encoded = encoder.encode(event, sequence, occurred_at_ms)
            except Exception as error:
                # An object that is not what its class says can raise anything, with a text that must not be logged.
                detail = error if isinstance(error, ValidationError) else type(error).__name__
                self._inbox.held_events -= 1
                self._inbox.held_bytes -= size
                self._counts.drop(DropReason.INVALID, event_name(event), detail)
                continue
            self._inbox.held_bytes += encoded.held_bytes - size
            fresh.append(encoded)
        self._outbox.add(fresh)

    def _drop_rest(self, in_flight: list[Encoded]) -> None:
        """Ends the counts of all that is left; what is in a spool is left for the next start."""
        raw = [*self._inbox.take_all(), *self._raw]
        self._raw.clear()
        for item in raw:
            self._counts.drop(self._reason_of_rest, event_name(item[0]))
        if self._outbox.close(in_flight, self._reason_of_rest):
            with self._settled:
                self._lowest_pending = self._inbox.accepted
                self._settled.notify_all()
        self._inbox.held_events = 0
        self._inbox.held_bytes = 0

    def _announce(self) -> None:
        """Tells waiting flushes how far deliveries have come."""
        if not self._flushing:
            return
        now = self._clock()
        many = len(self._deliveries) + len(self._outbox) > _ENCODE_AT_ONCE_EVENTS
        if many and now < self._announce_at:
            return  # looking through all of them each time would cost more than sending them
        self._announce_at = now + _ANNOUNCE_SECONDS
        lowest = self._inbox.lowest()
        if self._raw:
            lowest = min(lowest, self._raw[0][1])
        if (waiting := self._outbox.lowest_sequence()) is not None:
            lowest = min(lowest, waiting)
        in_flight = (encoded.sequence for encoded in self._deliveries.waiting() if encoded.sequence >= 0)
        lowest = min(lowest, min(in_flight, default=lowest))
        with self._settled:
            self._lowest_pending = lowest
            self._settled.notify_all()
