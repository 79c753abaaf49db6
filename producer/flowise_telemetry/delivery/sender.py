"""The sender: encodes, sends and counts, on the worker's thread."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable

from flowise_telemetry.delivery.backoff import Backoff
from flowise_telemetry.delivery.in_flight import InFlight
from flowise_telemetry.delivery.pending import PendingEvents
from flowise_telemetry.delivery.queue import EventQueue
from flowise_telemetry.delivery.requests import Requests
from flowise_telemetry.delivery.stream_encoders import StreamEncoders
from flowise_telemetry.delivery.stream_reports import StreamReports
from flowise_telemetry.delivery.unencoded import Unencoded
from flowise_telemetry.delivery.wakeup import Wakeup
from flowise_telemetry.encoding.encoder import Encoded, Encoder
from flowise_telemetry.identity.stream import Stream
from flowise_telemetry.stats import Counts, DropReason

__all__ = ["Sender"]

logger = logging.getLogger("flowise_telemetry")

_ENCODE_AT_ONCE_EVENTS = 500
_STATE_SECONDS = 1.0  # that the end waits for nothing but the record of the stream's counts
_ANNOUNCE_SECONDS = 0.02
# The first answer may take so much longer at the end of a process: librdkafka asks for its producer id half a second
# after the first look for a broker (rd_kafka_idemp_pid_timer_restart).
_FIRST_ANSWER_SECONDS = 1.0


class Sender:
    """Takes events out of the queue and sees each through to delivered or dropped.

    ``make_encoder`` makes that of a stream; it is called on the sender thread, because it may create the local secret.
    ``may_send`` is asked before every use of events; after its first False all waiting events are dropped and the
    thread ends.
    """

    def __init__(
        self,
        *,
        queue: EventQueue,
        wakeup: Wakeup,
        requests: Requests,
        counts: Counts,
        pending: PendingEvents,
        in_flight: InFlight,
        make_encoder: Callable[[Stream], Encoder],
        may_send: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._wakeup = wakeup
        self._requests = requests
        self._counts = counts
        self._pending = pending
        self._in_flight = in_flight
        self.backoff = in_flight.backoff
        self._may_send = may_send
        self._clock = clock
        self._encoders = StreamEncoders(queue, counts, make_encoder)
        self._reports = StreamReports(queue, self._encoders.of, clock=clock)
        self._told_end_at: float | None = None
        self._faults = Backoff(clock, failing="the sender fails, and tries again", what="the sender")
        self._unencoded = Unencoded(queue, self._encoders, pending)
        self._reason_for_rest = DropReason.CLOSED
        self._announce_at = 0.0

    # -- for the app's threads ------------------------------------------------------------------------------------

    @property
    def spooled(self) -> int:
        """Undelivered events on disk."""
        return self._pending.spooled

    @property
    def is_idle(self) -> bool:
        """True if nothing waits to be sent or answered."""
        return not (self._unencoded or self._pending or self._in_flight or self._in_flight.opening)

    def retry_now(self) -> None:
        """End a wait for the next attempt, because a caller waits for its delivery."""
        self._in_flight.backoff.retry_now()

    def give_up(self) -> None:
        """Settle what is in memory alone, because the thread hangs: into a spool of this thread's own, else ``closed``.

        The thread may come back, and then finds nothing left to do.
        """
        rest, under_way = self._unencoded.take_away()
        # One that is moving over is in two of them.
        held = dict.fromkeys([*under_way, *self._pending.take_unspooled(), *self._in_flight.unanswered()])
        fresh = [encoded for encoded in held if not encoded.row]
        if self._pending.keeps and self._encoders:
            fresh += [encoded for item in rest if (encoded := self._encoders.encoded(item)) is not None]
            with contextlib.suppress(Exception):
                fresh += self._reports.due(closing=True)
            fresh = self._pending.keep_elsewhere(fresh)
        else:
            for event, *_ in rest:
                self._counts.drop(DropReason.CLOSED, type(event).EVENT)
        for encoded in fresh:
            if not encoded.is_control:
                self._counts.drop(DropReason.CLOSED, encoded.event)

    # -- the thread -----------------------------------------------------------------------------------------------

    def run(self, done: Callable[[], bool]) -> bool:
        """Work until it is asked to stop, then close everything and return True; False once it is ``done``."""
        self._prepare()
        while not self._is_over():
            try:
                self._turn()
                wait = self._idle_seconds()
                self._faults.succeeded()
            except Exception as error:  # a broken installation, or a bug of ours: it must not end the deliveries
                self._faults.failed(repr(error))
                logger.debug("telemetry: the sender failed", exc_info=True)
                wait = None
            self._announce()
            if done():
                return False
            if wait is None and self._faults.failing:
                self._sit_out(done)
            elif wait != 0.0:
                self._wakeup.wait(wait, has_work=self._has_work)
            elif len(self._queue) + len(self._unencoded) < _ENCODE_AT_ONCE_EVENTS:
                self._wakeup.linger()
            else:
                self._wakeup.give_way()  # the next turn has its work already
        self._close()
        return True

    def _sit_out(self, done: Callable[[], bool]) -> None:
        """Wait until the next attempt after a fault, whoever rings; less if the end comes first."""
        while not self._is_over() and not done():
            wait = min(self._faults.wait_seconds(), self._remaining_seconds())
            if wait <= 0:
                return
            self._wakeup.wait(wait, has_work=lambda: self._stop_at is not None and self._is_over())

    def _prepare(self) -> None:
        """Import what the first event needs, and write it to the spool, if there is one."""
        self._requests.progress_at = float("inf")
        with contextlib.suppress(Exception):  # the first turn meets it again
            if len(self._queue):
                self._encoders.of(self._queue.stream)
            if self._pending.keeps:  # the client's import takes as long as a buffer of large events lasts
                self._requests.keeping = True
                try:
                    self._encode_all()
                finally:
                    self._requests.keeping = False
            self._in_flight.open()
        self._note_opening()

    def _note_opening(self) -> None:
        """Have the end wait for the client to be made, as it does while this thread imports."""
        if self._in_flight.opening or self._requests.progress_at == float("inf"):
            self._requests.progress_at = float("inf") if self._in_flight.opening else self._clock()

    def _close(self) -> None:
        """Keep what is left in the spool, if there is one, then close the client and count the rest."""
        self._requests.keeping = self._pending.keeps
        if self._reason_for_rest is not DropReason.OPTED_OUT:
            if self._pending.keeps:
                with contextlib.suppress(Exception):  # what cannot be kept is counted below
                    self._encode_all()
            else:
                self._drop_unencoded()
                self._pending.drop_unsent(self._reason_for_rest)
            if self._told_end_at is None:
                self._tell_end()
                if not self._pending.keeps:
                    with contextlib.suppress(Exception):
                        self._in_flight.send_some(at_last=True)
        unanswered = self._in_flight.close(self._remaining_seconds())
        self._drop_rest(unanswered)

    def _is_over(self) -> bool:
        if self._unencoded.taken_away:
            return True
        if self._stop_at is None:
            return False
        waiting = len(self._queue) + len(self._unencoded) + len(self._pending)
        remaining = self._remaining_seconds()
        if not waiting and not len(self._in_flight):
            return self._told_end_at is not None or remaining <= 0
        if self._told_end_at is not None:
            remaining = min(remaining, self._told_end_at + _STATE_SECONDS - self._clock())
        pauses = max(self._in_flight.backoff.wait_seconds(), self._faults.wait_seconds())
        return remaining <= 0 or (not len(self._in_flight) and pauses >= remaining)

    @property
    def _stop_at(self) -> float | None:
        return self._requests.stop_at

    def _remaining_seconds(self) -> float:
        return float("inf") if self._stop_at is None else max(0.0, self._stop_at - self._clock())

    def _turn(self) -> None:
        if self._in_flight.take_answers():
            self._requests.progress_at = self._clock()
        if not self._may_send():
            self._queue.close()
            self._reason_for_rest = DropReason.OPTED_OUT
            self._requests.ask_to_stop(self._clock(), 0.0)
            return
        self._requests.keeping = self._pending.keeps
        self._unencoded.encode(_ENCODE_AT_ONCE_EVENTS)
        self._requests.kept_calls.answer(self._unencoded.lowest_sequence())
        self._pending.update()
        self._tell()
        self._requests.keeping = False  # the client may hang
        first = not self._in_flight.has_sent
        if self._may_send():  # again: the disk may have taken its time
            self._in_flight.send_some()
        self._note_opening()
        if first and self._in_flight.has_sent:
            self._requests.progress_at = self._clock() + _FIRST_ANSWER_SECONDS
        self._in_flight.poll()

    def _has_work(self) -> bool:
        return bool(len(self._queue) or self._requests.kept_calls) or self._in_flight.has_answers

    def _idle_seconds(self) -> float | None:
        """Return the time until something is due; None if only a new event or an answer can bring work."""
        if self._unencoded or self._has_work() or self._is_over():
            return 0.0
        shortest = min(self._remaining_seconds(), self._pending.next_update_seconds, self._in_flight.idle_seconds())
        if self._stop_at is not None and self._told_end_at is None and not len(self._in_flight) and not self._pending:
            return 0.0  # to tell the end
        return None if shortest == float("inf") else shortest

    def _encode_all(self) -> None:
        while len(self._queue) or self._unencoded:
            self._unencoded.encode(_ENCODE_AT_ONCE_EVENTS)

    def _tell(self) -> None:
        """Send what the streams tell of themselves, if it is time; at the end once everything else is settled."""
        if self._stop_at is None:
            self._pending.add_control(self._reports.due())
        elif self._told_end_at is None and not (
            len(self._queue) or self._unencoded or self._pending or self._in_flight
        ):
            self._tell_end()

    def _tell_end(self) -> None:
        self._told_end_at = self._clock()
        with contextlib.suppress(Exception):  # no encoder can be made: nothing was sent either
            self._pending.add_control(self._reports.due(closing=True))

    def _drop_rest(self, unanswered: list[Encoded]) -> None:
        """Settle the counts of everything that is left, except what a spool keeps for the next start."""
        self._drop_unencoded()
        if self._pending.close(unanswered, self._reason_for_rest):
            self._requests.lowest_unsettled = self._queue.numbered

    def _drop_unencoded(self) -> None:
        for event, number, *_ in self._unencoded.take_all():
            self._queue.count_drop(number, self._reason_for_rest)
            self._counts.drop(self._reason_for_rest, type(event).EVENT)

    def _announce(self) -> None:
        """Let waiting flushes know up to which sequence every event is settled."""
        if not self._requests.flushing:
            return
        now = self._clock()
        many = len(self._in_flight) + len(self._pending) > _ENCODE_AT_ONCE_EVENTS
        if many and now < self._announce_at:
            return  # the search for the lowest sequence each time would cost more than sending
        self._announce_at = now + _ANNOUNCE_SECONDS
        lowest = self._unencoded.lowest_sequence()
        if (waiting := self._pending.lowest_sequence()) is not None:
            lowest = min(lowest, waiting)
        in_flight = (encoded.sequence for encoded in self._in_flight.unanswered() if encoded.sequence >= 0)
        lowest = min(lowest, min(in_flight, default=lowest))
        self._requests.lowest_unsettled = lowest
