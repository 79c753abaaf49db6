"""Events on their way through Kafka's client."""

from __future__ import annotations

import contextlib
import functools
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from flowise_telemetry.delivery.backoff import Outage
from flowise_telemetry.delivery.pending import PendingEvents
from flowise_telemetry.encoding.encoder import Encoded
from flowise_telemetry.stats import DropReason
from flowise_telemetry_schemas.errors import TelemetryError
from flowise_telemetry_transport.errors import BufferFullError, DeliveryError, MessageTooLargeError, TransportError
from flowise_telemetry_transport.types import Delivery, OutgoingRecord

if TYPE_CHECKING:
    from flowise_telemetry.ledger import Ledger
    from flowise_telemetry_transport.ports import RecordWriter

__all__ = ["InFlight", "WriterFactory"]

WriterFactory = Callable[[], "RecordWriter"]

# Twice what librdkafka at full speed has acknowledged within a linger and a round trip. More gains nothing, and each
# object that waits is one more for the garbage collector to look at.
_IN_FLIGHT_MAX_EVENTS = 10_000
_SEND_AT_ONCE_EVENTS = 500
_POLL_SECONDS = 0.02  # how long acknowledgements may wait where the client hands them out only on poll
_CLIENT_FULL_WAIT_SECONDS = 0.05
_CLOSE_MAX_SECONDS = 0.5


class InFlight:
    """Belongs to the sender thread; only the answers come from threads of the client.

    Kafka's client is made by ``make_writer`` when there is something to send. Whether a failure may pass is asked of
    the error (``retryable``); an event is given up only when the cluster refuses this one record for good.
    """

    def __init__(
        self,
        *,
        topic: str,
        outbox: PendingEvents,
        make_writer: WriterFactory,
        wake: Callable[[], None],
        on_connected: Callable[[], None],
        ledger: Ledger | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topic = topic
        self._outbox = outbox
        self._make_writer = make_writer
        self._wake = wake
        self._on_connected = on_connected
        self._ledger = ledger
        self._clock = clock
        self._writer: RecordWriter | None = None
        self._in_flight: dict[str, Encoded] = {}
        self._answers: deque[tuple[Encoded, Delivery | None, TransportError | None]] = deque()
        self._client_full_until = 0.0
        self._connected = False
        self._closing = False
        self.outage = Outage(clock)

    def __len__(self) -> int:
        return len(self._in_flight)

    @property
    def answered(self) -> bool:
        """Whether answers wait to be taken."""
        return bool(self._answers)

    def waiting(self) -> list[Encoded]:
        """What is sent and not answered. Any thread may ask."""
        return list(self._in_flight.copy().values())

    def idle_seconds(self) -> float:
        """How long there is nothing to do here."""
        wait = _POLL_SECONDS if self._in_flight else float("inf")
        if self._outbox:
            blocked = max(self.outage.wait_seconds(), self._client_full_until - self._clock(), 0.0)
            wait = min(wait, blocked if self._room() > 0 else _POLL_SECONDS)
        return wait

    def _room(self) -> int:
        # During an outage one event at a time finds out whether it is over.
        return (1 if self.outage.on else _IN_FLIGHT_MAX_EVENTS) - len(self._in_flight)

    def send_some(self) -> None:
        """Hands a bounded number of events to the client, unless it is known to be of no use now."""
        if not self._outbox or self.outage.wait_seconds() > 0 or self._clock() < self._client_full_until:
            return
        writer = self._opened()
        if writer is None:
            return
        for _ in range(min(len(self._outbox), self._room(), _SEND_AT_ONCE_EVENTS)):
            encoded = self._outbox.take()
            if not self._send(writer, encoded):
                self._outbox.put_back([encoded])
                return

    def _opened(self) -> RecordWriter | None:
        if self._writer is None:
            try:
                self._writer = self._make_writer()
            except Exception as error:
                self.outage.failed(error)
        return self._writer

    def _send(self, writer: RecordWriter, encoded: Encoded) -> bool:
        """Whether the event is settled or on its way; False where it has to be sent later."""
        # Headers stay empty: the value says which schema it has, and what is not there cannot give anything away.
        record = OutgoingRecord(self._topic, encoded.key, encoded.value)
        self._in_flight[encoded.event_id] = encoded
        try:
            writer.send(record, functools.partial(self._on_delivery, encoded))
        except Exception as error:
            del self._in_flight[encoded.event_id]
            return self._not_taken(encoded, error)
        return True

    def _not_taken(self, encoded: Encoded, error: Exception) -> bool:
        if isinstance(error, BufferFullError):
            self._client_full_until = self._clock() + _CLIENT_FULL_WAIT_SECONDS
        elif isinstance(error, MessageTooLargeError):
            self._outbox.drop(encoded, DropReason.TOO_LARGE, error)
            return True
        elif isinstance(error, TelemetryError):
            self.outage.failed(error)
        else:
            self._outbox.drop(encoded, DropReason.REJECTED, type(error).__name__)
            return True
        return False

    def _on_delivery(self, encoded: Encoded, delivery: Delivery | None, error: TransportError | None) -> None:
        """May run on a thread of the client, so it only leaves the answer for ours."""
        self._answers.append((encoded, delivery, error))
        self._wake()

    def poll(self) -> None:
        """Has the client hand out answers that are due."""
        if self._writer is not None:
            self._writer.poll()

    def take_answers(self) -> None:
        """Settles what was answered: delivered, given up, or to be sent again."""
        again: list[Encoded] = []
        delivered: list[Encoded] = []
        while self._answers:
            encoded, delivery, error = self._answers.popleft()
            if self._in_flight.pop(encoded.event_id, None) is None:
                continue
            if delivery is not None:
                delivered.append(encoded)
                if self._ledger is not None:
                    self._ledger.append(encoded, delivery)
            elif isinstance(error, MessageTooLargeError):
                self._outbox.drop(encoded, DropReason.TOO_LARGE, error)
            elif isinstance(error, DeliveryError) and not error.retryable:
                self._outbox.drop(encoded, DropReason.REJECTED, error)
            else:
                if not self._closing:
                    self.outage.failed(error or DeliveryError("no answer"))
                again.append(encoded)
        self._outbox.put_back(again)
        if delivered:
            self._outbox.delivered(delivered)
            if self._ledger is not None:
                self._ledger.flush()
            if not self._connected:
                self._connected = True
                self._on_connected()
            if not again:
                self.outage.delivered()

    def close(self, timeout_seconds: float) -> list[Encoded]:
        """Lets go of the client within the time, and returns what it had and never answered for."""
        self._closing = True
        if self._writer is not None:
            with contextlib.suppress(Exception):
                self._writer.close(timeout_seconds=min(timeout_seconds, _CLOSE_MAX_SECONDS))
        with contextlib.suppress(Exception):
            self.take_answers()
        left = list(self._in_flight.values())
        self._in_flight.clear()
        if self._ledger is not None:
            self._ledger.close()
        return left
