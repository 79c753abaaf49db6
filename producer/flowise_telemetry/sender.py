"""The one thread that encodes, sends and counts."""

from __future__ import annotations

import contextlib
import functools
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from flowise_telemetry.encoder import Encoded, Encoder, event_name
from flowise_telemetry.inbox import Inbox, Item
from flowise_telemetry.outage import Outage
from flowise_telemetry.stats import Counts, DropReason
from flowise_telemetry_schemas.errors import TelemetryError, ValidationError
from flowise_telemetry_transport.errors import BufferFullError, DeliveryError, MessageTooLargeError, TransportError
from flowise_telemetry_transport.types import Delivery, OutgoingRecord

if TYPE_CHECKING:
    from flowise_telemetry_transport.ports import RecordWriter

__all__ = ["Sender", "WriterFactory"]

logger = logging.getLogger("flowise_telemetry")

WriterFactory = Callable[[], "RecordWriter"]

_ENCODE_AT_ONCE_EVENTS = 500
_IN_FLIGHT_MAX_EVENTS = 10_000
_POLL_SECONDS = 0.02  # how long acknowledgements may wait where the client hands them out only on poll
_CLIENT_FULL_WAIT_SECONDS = 0.05
_UNEXPECTED_WAIT_SECONDS = 1.0
_WRITER_CLOSE_SECONDS = 0.5
_FLUSH_LOOK_SECONDS = 0.1


class Sender:
    """Takes events out of the inbox and sees each through to delivered or dropped.

    Kafka's client is made by ``make_writer`` on this thread, so the app never waits for it. What a delivery fails of
    is asked of the error (``retryable``): events are kept through anything that may pass.
    """

    def __init__(
        self,
        *,
        inbox: Inbox,
        bell: queue.SimpleQueue[None],
        counts: Counts,
        topic: str,
        max_age_seconds: float,
        make_encoder: Callable[[], Encoder],
        make_writer: WriterFactory,
        may_send: Callable[[], bool],
        on_connected: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inbox = inbox
        self._bell = bell
        self._counts = counts
        self._topic = topic
        self._max_age_ms = int(max_age_seconds * 1000)
        self._make_encoder = make_encoder
        self._make_writer = make_writer
        self._may_send = may_send
        self._on_connected = on_connected
        self._clock = clock
        self._outage = Outage(clock)
        self._writer: RecordWriter | None = None
        self._encoder: Encoder | None = None
        self._raw: deque[Item] = deque()
        self._outbox: deque[Encoded] = deque()
        self._in_flight: dict[str, Encoded] = {}
        self._answers: deque[tuple[Encoded, Delivery | None, TransportError | None]] = deque()
        self._stop_at: float | None = None
        self._client_full_until = 0.0
        self._connected = False
        self._flushing = 0
        self._settled = threading.Condition()
        self._lowest_pending = 0
        self._thread: threading.Thread | None = None

    # -- for the app's threads ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Starts the thread; a second call does nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="flowise-telemetry", daemon=True)
            self._thread.start()

    def flush(self, timeout_seconds: float) -> bool:
        """Waits until all that was accepted before the call is delivered or dropped; False when the time is up."""
        target = self._inbox.accepted
        if self._thread is threading.current_thread():
            return False  # from on_drop: waiting for ourselves
        deadline = self._clock() + timeout_seconds
        self._outage.try_now()
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
        self._stop_at = self._clock() + timeout_seconds
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return
        self._bell.put(None)
        thread.join(timeout_seconds)
        if thread.is_alive():
            # It hangs in the client. What comes of it later is no longer counted: everything is counted as dropped now.
            self._drop_rest(freeze=True)

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
        if self._writer is not None:
            with contextlib.suppress(Exception):
                self._writer.close(timeout_seconds=min(self._remaining_seconds(), _WRITER_CLOSE_SECONDS))
            with contextlib.suppress(Exception):
                self._take_answers()
        self._drop_rest(freeze=False)
        self._announce()

    def _is_over(self) -> bool:
        if self._stop_at is None:
            return False
        if not self._pending():
            return True
        remaining = self._remaining_seconds()
        return remaining <= 0 or (not self._in_flight and self._outage.wait_seconds() >= remaining)

    def _remaining_seconds(self) -> float:
        return float("inf") if self._stop_at is None else max(0.0, self._stop_at - self._clock())

    def _pending(self) -> int:
        return len(self._inbox) + len(self._raw) + len(self._outbox) + len(self._in_flight)

    def _turn(self) -> None:
        self._take_answers()
        if not self._may_send():
            self._discard_all()
            return
        self._encode_some()
        self._expire()
        self._send_some()
        if self._writer is not None:
            self._writer.poll()
            self._take_answers()
        self._announce()
        self._sleep(self._idle_seconds())

    def _idle_seconds(self) -> float | None:
        if self._raw or len(self._inbox):
            return 0.0
        waits = [self._remaining_seconds()]
        if self._in_flight:
            waits.append(_POLL_SECONDS)
        if self._outbox:
            blocked = max(self._outage.wait_seconds(), self._client_full_until - self._clock())
            waits.append(max(0.0, blocked) if self._room() > 0 else _POLL_SECONDS)
        shortest = min(waits)
        return None if shortest == float("inf") else shortest

    def _sleep(self, seconds: float | None) -> None:
        if seconds == 0.0:
            return
        self._inbox.idle = True
        # Looked at again: what came before the flag went up did not ring.
        if not len(self._inbox) and not self._answers:
            with contextlib.suppress(queue.Empty):
                self._bell.get(timeout=seconds)
        self._inbox.idle = False
        with contextlib.suppress(queue.Empty):
            while True:
                self._bell.get_nowait()

    def _encode_some(self) -> None:
        if len(self._inbox):
            self._raw.extend(self._inbox.take_all())
        if self._encoder is None and self._raw:
            self._encoder = self._make_encoder()
        for _ in range(min(len(self._raw), _ENCODE_AT_ONCE_EVENTS)):
            event, sequence, occurred_at_ms, size = self._raw.popleft()
            assert self._encoder is not None  # noqa: S101 - made above
            try:
                encoded = self._encoder.encode(event, sequence, occurred_at_ms)
            except Exception as error:
                # An object that is not what its class says can raise anything. Its text may hold what must not be
                # logged.
                detail = error if isinstance(error, ValidationError) else type(error).__name__
                self._release(size)
                self._counts.drop(DropReason.INVALID, event_name(event), detail)
                continue
            self._inbox.held_bytes += encoded.held_bytes - size
            self._outbox.append(encoded)

    def _release(self, size: int) -> None:
        self._inbox.held_events -= 1
        self._inbox.held_bytes -= size

    def _drop(self, encoded: Encoded, reason: DropReason, detail: object = "") -> None:
        self._release(encoded.held_bytes)
        self._counts.drop(reason, encoded.event, detail)

    def _expire(self) -> None:
        oldest_ms = time.time_ns() // 1_000_000 - self._max_age_ms
        while self._outbox and self._outbox[0].occurred_at_ms < oldest_ms:
            self._drop(self._outbox.popleft(), DropReason.EXPIRED)

    def _room(self) -> int:
        # During an outage one event at a time finds out whether it is over.
        return (1 if self._outage.on else _IN_FLIGHT_MAX_EVENTS) - len(self._in_flight)

    def _send_some(self) -> None:
        if not self._outbox or self._outage.wait_seconds() > 0 or self._clock() < self._client_full_until:
            return
        if self._writer is None and not self._open_writer():
            return
        writer = self._writer
        assert writer is not None  # noqa: S101 - opened above
        for _ in range(min(len(self._outbox), self._room(), _ENCODE_AT_ONCE_EVENTS)):
            encoded = self._outbox.popleft()
            self._in_flight[encoded.event_id] = encoded
            record = OutgoingRecord(self._topic, encoded.key, encoded.value)
            try:
                writer.send(record, functools.partial(self._on_delivery, encoded))
                continue
            except MessageTooLargeError as error:
                self._in_flight.pop(encoded.event_id, None)
                self._drop(encoded, DropReason.TOO_LARGE, error)
                continue
            except BufferFullError:
                self._client_full_until = self._clock() + _CLIENT_FULL_WAIT_SECONDS
            except TelemetryError as error:
                self._outage.failed(error)
            except Exception as error:
                self._in_flight.pop(encoded.event_id, None)
                self._drop(encoded, DropReason.REJECTED, type(error).__name__)
                continue
            self._in_flight.pop(encoded.event_id, None)
            self._outbox.appendleft(encoded)
            return

    def _open_writer(self) -> bool:
        try:
            self._writer = self._make_writer()
        except Exception as error:
            self._outage.failed(error)
            return False
        return True

    def _on_delivery(self, encoded: Encoded, delivery: Delivery | None, error: TransportError | None) -> None:
        """May run on a thread of the client, so it only leaves the answer for ours."""
        self._answers.append((encoded, delivery, error))
        if self._inbox.idle:
            self._inbox.idle = False
            self._bell.put(None)

    def _take_answers(self) -> None:
        again: list[Encoded] = []
        delivered = False
        while self._answers:
            encoded, delivery, error = self._answers.popleft()
            if self._in_flight.pop(encoded.event_id, None) is None:
                continue
            if delivery is not None:
                delivered = True
                self._release(encoded.held_bytes)
                self._counts.count_sent()
            elif isinstance(error, MessageTooLargeError):
                self._drop(encoded, DropReason.TOO_LARGE, error)
            elif isinstance(error, DeliveryError) and not error.retryable:
                self._drop(encoded, DropReason.REJECTED, error)
            else:
                self._outage.failed(error or DeliveryError("no answer"))
                again.append(encoded)
        self._outbox.extendleft(reversed(again))
        if delivered:
            if not self._connected:
                self._connected = True
                self._on_connected()
            if not again:
                self._outage.delivered()

    def _discard_all(self) -> None:
        self._inbox.close()
        self._stop_at = self._clock()
        self._drop_rest(freeze=False, reason=DropReason.OPTED_OUT)

    def _drop_rest(self, *, freeze: bool, reason: DropReason = DropReason.CLOSED) -> None:
        names = [event_name(item[0]) for item in [*self._inbox.take_all(), *list(self._raw)]]
        names += [encoded.event for encoded in [*list(self._outbox), *list(self._in_flight.values())]]
        for name in names:
            self._counts.drop(reason, name)
        if freeze:
            self._counts.freeze()
        self._raw.clear()
        self._outbox.clear()
        self._in_flight.clear()
        self._inbox.held_events = 0
        self._inbox.held_bytes = 0

    def _announce(self) -> None:
        """Tells waiting flushes how far deliveries have come."""
        if not self._flushing:
            return
        lowest = self._inbox.lowest()
        for pending in (self._outbox, self._in_flight.values()):
            for encoded in pending:
                if 0 <= encoded.sequence < lowest:
                    lowest = encoded.sequence
        if self._raw:
            lowest = min(lowest, self._raw[0][1])
        with self._settled:
            self._lowest_pending = lowest
            self._settled.notify_all()
