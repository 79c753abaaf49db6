"""Events handed to the Kafka client and not acknowledged yet."""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from flowise_telemetry.delivery.aside import Aside, is_done
from flowise_telemetry.delivery.backoff import Backoff
from flowise_telemetry.delivery.batch_bound import BatchBound
from flowise_telemetry.delivery.client import Client
from flowise_telemetry.delivery.pending import PendingEvents
from flowise_telemetry.delivery.wakeup import Wakeup
from flowise_telemetry.encoding.encoder import Encoded
from flowise_telemetry.stats import DropReason
from flowise_telemetry_schemas.errors import TelemetryError
from flowise_telemetry_transport.errors import (
    BufferFullError,
    DeliveryError,
    MessageTooLargeError,
    TimestampRefusedError,
    TransportError,
)
from flowise_telemetry_transport.record_times import NO_TIME, RecordTimes
from flowise_telemetry_transport.types import Delivery, OutgoingRecord

if TYPE_CHECKING:
    from flowise_telemetry.ledger import Ledger
    from flowise_telemetry_transport.ports import RecordWriter

__all__ = ["Explain", "InFlight", "WriterFactory"]

logger = logging.getLogger("flowise_telemetry")

WriterFactory = Callable[[], "RecordWriter"]
Explain = Callable[[BaseException | None], BaseException | None]
"""Return the reason behind a failure, or, for None, why the cluster cannot be used; takes some seconds at most."""

# Twice what librdkafka at full speed has acknowledged within a linger and a round trip. More gains nothing, and every
# waiting object is one more for the garbage collector to traverse.
_MAX_EVENTS = 10_000
_SEND_AT_ONCE_EVENTS = 500
_POLL_SECONDS = 0.02  # how long acknowledgements may wait if the client hands them out only on poll
_CLIENT_FULL_WAIT_SECONDS = 0.05
_CLOSE_MAX_SECONDS = 0.5
_FIRST_LOOK_SECONDS = 2.0
_UNDATED_SECONDS = 3600.0  # then the clock may be right


class InFlight:
    """Belongs to the sender thread; only ``_on_delivery`` is called by threads of the client.

    Opens the client with ``make_writer`` at the first event, and anew with smaller batches if the topic refuses one.
    The error says whether a failure is worth a retry (``retryable``); an event is given up only if the cluster refuses
    this one record for good. One that it refuses for its time is sent without one: the machine's clock is wrong.
    """

    def __init__(
        self,
        *,
        topic: str,
        pending: PendingEvents,
        make_writer: Callable[[int | None], RecordWriter],
        wakeup: Wakeup,
        on_connected: Callable[[], None],
        batch_bound: BatchBound,
        ledger: Ledger | None = None,
        explain: Explain | None = None,
        aside: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topic = topic
        self._pending = pending
        self._wakeup = wakeup
        self._on_connected = on_connected
        self._batch_bound = batch_bound
        self._undated_until = float("-inf")
        self._times = RecordTimes()
        self._ledger = ledger
        self._explain = explain
        self._look_at = float("inf")
        self._reason: Aside[BaseException | None] | None = None
        self._clock = clock
        self._client = Client(lambda: make_writer(batch_bound.bytes), aside=aside, ring=wakeup.ring)
        # By the object: two relayed events may have the same id, where a client sent one twice.
        self._unanswered: dict[Encoded, None] = {}
        self._answers: deque[tuple[Encoded, Delivery | None, TransportError | None]] = deque()
        self._client_full_until = 0.0
        self._connected = False
        self._closing = False
        self.has_sent = False
        """True once the client took an event."""
        self.backoff = Backoff(clock)

    def __len__(self) -> int:
        return len(self._unanswered)

    @property
    def has_answers(self) -> bool:
        """True if ``take_answers`` has something to do."""
        return bool(self._answers) or self._client.is_made or is_done(self._reason)

    def unanswered(self) -> list[Encoded]:
        """Return a copy of what was sent and not answered. Any thread may ask."""
        return list(self._unanswered.copy())

    def idle_seconds(self) -> float:
        """Return how long there will be nothing to do here."""
        wait = _POLL_SECONDS if self._unanswered else float("inf")
        if self._pending and not self._client.opening:
            blocked = max(self.backoff.wait_seconds(), self._client_full_until - self._clock(), 0.0)
            wait = min(wait, blocked if self._room() > 0 and not self._would_mix() else _POLL_SECONDS)
        return wait

    def _room(self) -> int:
        # During an outage one event at a time finds out whether it is over.
        return (1 if self.backoff.failing else _MAX_EVENTS) - len(self._unanswered)

    def send_some(self, *, at_last: bool = False) -> None:
        """Hand a bounded number of events to the client, unless it is known to fail now; ``at_last`` also then."""
        blocked = self.backoff.wait_seconds() > 0 or self._clock() < self._client_full_until
        if not self._pending or ((blocked or self._would_mix()) and not at_last):
            return
        if self._batch_bound.is_exceeded() and not self._begin_smaller_batches():
            return
        if (writer := self.open()) is None:
            return
        self._times.begin(self._clock() < self._undated_until)
        room = _SEND_AT_ONCE_EVENTS if at_last else min(self._room(), _SEND_AT_ONCE_EVENTS)
        for _ in range(min(len(self._pending), room)):
            if not self._send(writer, self._pending.take()):
                return

    def _would_mix(self) -> bool:
        """Return True if records with and without a time may meet in a batch: a broker refuses all for one of them."""
        return self._times.would_mix(self._clock() < self._undated_until, unanswered=bool(self._unanswered))

    def _begin_smaller_batches(self) -> bool:
        """Close the client once everything that it has is answered; return False until then."""
        if self._unanswered:
            return False
        self._client.close(_CLOSE_MAX_SECONDS)
        self._batch_bound.halve()
        return True

    @property
    def opening(self) -> bool:
        """True while the client is made on another thread."""
        return self._client.opening

    def open(self) -> RecordWriter | None:
        """Return the client, made now if there is none; None if it cannot be made, or not yet."""
        try:
            if self._client.open():
                self._look_at = self._clock() + _FIRST_LOOK_SECONDS
        except Exception as error:
            self.backoff.failed(error)
        return self._client.writer

    def _send(self, writer: RecordWriter, encoded: Encoded) -> bool:
        """Return True if the event is on its way or settled, False if it has to be sent later."""
        # No headers: the value names its schema, and a header that is absent discloses nothing.
        encoded.undated = self._times.undated
        time_ms = NO_TIME if encoded.undated else None
        record = OutgoingRecord(self._topic, encoded.key, encoded.value, timestamp_ms=time_ms)
        self._unanswered[encoded] = None
        try:
            writer.send(record, functools.partial(self._on_delivery, encoded))
        except Exception as error:
            return self._not_taken(encoded, error)
        self.has_sent = True
        return True

    def _not_taken(self, encoded: Encoded, error: Exception) -> bool:
        large = isinstance(error, MessageTooLargeError)
        if large or not isinstance(error, TelemetryError):
            del self._unanswered[encoded]
            reason = DropReason.TOO_LARGE if large else DropReason.REJECTED
            self._pending.drop(encoded, reason, error if large else type(error).__name__)
            return True
        # Put back before it is taken out: whoever settles the end on another thread finds it in one of them.
        self._pending.put_back([encoded])
        del self._unanswered[encoded]
        if not (isinstance(error, BufferFullError) or self._client.connects(error)):
            self._failed(error)
        else:
            self._client_full_until = self._clock() + _CLIENT_FULL_WAIT_SECONDS
        return False

    def _on_delivery(self, encoded: Encoded, delivery: Delivery | None, error: TransportError | None) -> None:
        """Queue the answer for the sender thread; this may run on a thread of the client."""
        self._answers.append((encoded, delivery, error))
        if self._wakeup.idle:
            self._wakeup.ring()

    def poll(self) -> None:
        """Let the client hand out answers that are due."""
        if self._client.writer is not None:
            self._client.writer.poll()
            self._look()

    def _look(self) -> None:
        """Find out once why nothing was acknowledged yet: librdkafka says so when the first record has timed out."""
        if self._connected or self._clock() < self._look_at or not self._unanswered or self._answers:
            return
        self._look_at = float("inf")
        if self._explain is not None and not self.backoff.failing:
            self._ask(self._explain, None)

    def _failed(self, error: BaseException) -> None:
        first = not self.backoff.failing and not self._closing
        self.backoff.failed(error, unsaid=first and self._explain is not None)
        if first and self._explain is not None:
            self._ask(self._explain, error)

    def _ask(self, explain: Explain, error: BaseException | None) -> None:
        self._reason = Aside(functools.partial(explain, error), self._wakeup.ring)

    def _take_reason(self) -> None:
        if not is_done(self._reason):
            return
        asked, self._reason = self._reason, None
        reason = None
        with contextlib.suppress(Exception):
            reason = asked.result()
        if self.backoff.failing:
            self.backoff.say(reason)
        elif reason is not None and not self._connected:
            self.backoff.failed(reason)

    def take_answers(self) -> bool:
        """Settle each answered event: delivered, dropped, or put back to be sent again. True if any was delivered."""
        if self._client.is_made:
            self.open()
        self._take_reason()
        again: dict[Encoded, None] = {}  # in ``_unanswered`` until they are put back, as in ``_not_taken``
        delivered: list[Encoded] = []
        while self._answers:
            encoded, delivery, error = self._answers.popleft()
            if encoded not in self._unanswered or encoded in again:
                continue
            if delivery is None and self._comes_again(encoded, error):
                again[encoded] = None
            else:
                del self._unanswered[encoded]
            if delivery is not None:
                delivered.append(encoded)
                if self._ledger is not None:
                    self._ledger.append(encoded, delivery)
        self._pending.put_back(again)
        for encoded in again:
            del self._unanswered[encoded]
        if delivered:
            self._pending.delivered(delivered)
            if self._ledger is not None:
                self._ledger.flush()
            if not self._connected:
                self._connected = True
                self._on_connected()
            if not again:
                self.backoff.succeeded()
        return bool(delivered)

    def _comes_again(self, encoded: Encoded, error: TransportError | None) -> bool:
        """Return True for a record that is worth another try; otherwise drop it."""
        if isinstance(error, MessageTooLargeError):
            if self._batch_bound.is_alone(encoded):
                self._pending.drop(encoded, DropReason.TOO_LARGE, error)
                return False
        elif isinstance(error, TimestampRefusedError) and not encoded.undated:
            self._send_without_times()
        elif isinstance(error, DeliveryError) and not error.retryable:
            self._pending.drop(encoded, DropReason.REJECTED, error)
            return False
        elif not self._closing:
            self._failed(error or DeliveryError("no answer"))
        return True

    def _send_without_times(self) -> None:
        if self._undated_until < self._clock():
            logger.warning("telemetry: the broker refuses the time of this machine's clock; events are sent without it")
        self._undated_until = self._clock() + _UNDATED_SECONDS

    def close(self, timeout_seconds: float) -> list[Encoded]:
        """Close the client within the time, and return the events that it never answered."""
        self._closing = True
        self._client.close(min(timeout_seconds, _CLOSE_MAX_SECONDS), for_good=True)
        with contextlib.suppress(Exception):
            self.take_answers()
        self.backoff.say()
        left = list(self._unanswered)
        self._unanswered.clear()
        if self._ledger is not None:
            self._ledger.close()
        return left
