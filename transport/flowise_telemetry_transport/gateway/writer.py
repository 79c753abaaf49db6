"""Writing through a gateway."""

from __future__ import annotations

import _thread
import contextlib
import gzip
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from flowise_telemetry_schemas.errors import TelemetryError
from flowise_telemetry_transport.errors import (
    BufferFullError,
    DeliveryError,
    DeliveryTimeoutError,
    MessageTooLargeError,
    TransportError,
)
from flowise_telemetry_transport.gateway.connection import Connection
from flowise_telemetry_transport.gateway.settings import GatewaySettings
from flowise_telemetry_transport.gateway.verdict import Verdict, refusal_error, verdict_of
from flowise_telemetry_transport.gateway.wire import Answer, WireRecord, encode_batch, wire_bytes
from flowise_telemetry_transport.interpreters import in_sub_interpreter
from flowise_telemetry_transport.settings import WriterOptions
from flowise_telemetry_transport.types import Delivery, OnDelivery, OutgoingRecord

__all__ = ["GATEWAY", "GatewayWriter"]

GATEWAY = "gateway"
"""The place of a delivery in place of a topic: partition and offset are not known, and -1."""

_BATCH_RECORDS = 500
_BATCH_BYTES = 1_000_000  # before compression
_LONGEST_LOOK_SECONDS = 0.01
_WORTH_COMPRESSING_BYTES = 200
_GZIP_LEVEL = 5


@dataclass(slots=True, eq=False)
class _Waiting:
    """A record without an answer."""

    record: WireRecord
    size_bytes: int
    deadline: float
    on_delivery: OnDelivery


class GatewayWriter:
    """A ``RecordWriter``: sends batches over one connection, one at a time, in order.

    Connects at the first batch, on a thread that lives while there is something to send; where the process can have no
    other thread, ``poll`` sends and waits. Callbacks run in ``poll``, ``flush`` and ``close``, and these begin a batch,
    unless ``send`` has filled one. Topic and partition are the gateway's: a record's topic counts for nothing, and one
    for a partition is refused.

    A batch without an answer is sent again once, if it was sent on a connection that had been kept; all else fails in
    the callbacks, with those that wait behind it, so that nothing overtakes: whoever sends them again keeps the order.
    What was sent again after a lost answer may be stored twice. No lock is held while this waits for anything.
    """

    def __init__(self, settings: GatewaySettings, options: WriterOptions) -> None:
        _ = settings.key  # raises now for a file that cannot be read
        self._settings = settings
        self._options = options
        self._connection = Connection(settings)
        self._lock = _thread.allocate_lock()
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._sending: tuple[_Waiting, ...] = ()
        self._due: deque[tuple[OnDelivery, Delivery | None, TransportError | None]] = deque()
        self._batch_records = _BATCH_RECORDS
        self._most_bytes = self._batch_bytes = min(options.batch_bytes or _BATCH_BYTES, _BATCH_BYTES)
        self._held_until = 0.0
        self._held_key: str | None = None
        self._held_error: TransportError | None = None
        self._working = False
        self._closed = False

    # -- the port -------------------------------------------------------------------------------------------------

    def send(self, record: OutgoingRecord, on_delivery: OnDelivery) -> None:
        """See ``RecordWriter``; never waits."""
        if record.partition is not None:
            raise DeliveryError("a gateway chooses the partition by the key: send without one", topic=record.topic)
        time_ms = record.timestamp_ms
        wire = WireRecord(record.key, record.value, record.headers, None if time_ms is None or time_ms < 0 else time_ms)
        size = wire_bytes(wire)
        if size > self._options.max_record_bytes:
            raise MessageTooLargeError(f"record of {size} bytes for {record.topic}", topic=record.topic)
        deadline = time.monotonic() + self._options.delivery_timeout_seconds
        with self._lock:
            if self._closed:
                raise TransportError("the writer is closed")
            if self._waiting_bytes + size > self._options.buffer_bytes:
                raise BufferFullError("the send buffer is full", topic=record.topic)
            self._waiting.append(_Waiting(wire, size, deadline, on_delivery))
            self._waiting_bytes += size
            is_full = len(self._waiting) >= self._batch_records or self._waiting_bytes >= self._batch_bytes
        if is_full and not self._working and not in_sub_interpreter():
            self._begin()

    def poll(self) -> None:
        """See ``RecordWriter``."""
        self._give_up_late(time.monotonic())
        if self._waiting and not self._working:
            self._begin()
        self._run_callbacks()

    def flush(self, *, timeout_seconds: float) -> int:
        """See ``RecordWriter``."""
        end = time.monotonic() + timeout_seconds
        pause = 0.001
        while True:
            self.poll()
            with self._lock:
                left = len(self._waiting) + len(self._sending) + len(self._due)
            remaining = end - time.monotonic()
            if not left or remaining <= 0:
                return left
            # Looked up when it is called: gevent and eventlet replace it.
            time.sleep(min(pause, remaining))
            pause = min(2 * pause, _LONGEST_LOOK_SECONDS)

    def close(self, *, timeout_seconds: float) -> None:
        """See ``RecordWriter``."""
        if not self._closed:
            self.flush(timeout_seconds=timeout_seconds)
        with self._lock:
            self._closed = True
        self._fail_all(DeliveryTimeoutError("not acknowledged before the writer was closed"))
        if self._working:
            self._connection.abort()  # the thread disconnects when it notices
        else:
            self._connection.close()
        self._run_callbacks()

    # -- callbacks ------------------------------------------------------------------------------------------------

    def _run_callbacks(self) -> None:
        while True:
            try:
                on_delivery, delivery, error = self._due.popleft()
            except IndexError:
                return
            on_delivery(delivery, error)

    def _give_up_late(self, now: float) -> None:
        """Let what is past its deadline fail; a request that it is part of is ended."""
        with self._lock:
            first = self._sending[0] if self._sending else self._waiting[0] if self._waiting else None
            if first is None or first.deadline > now:
                return
            is_sent = bool(self._sending)
        reason = "" if self._held_error is None else f": {self._held_error}"
        self._fail_all(DeliveryTimeoutError(f"{self._settings.shown}: no acknowledgement in time{reason}"))
        if is_sent:
            self._connection.abort()

    def _fail_all(self, error: TransportError, sent: tuple[_Waiting, ...] | None = None) -> None:
        """Let everything fail that has no answer; nothing if ``sent`` is not what is being sent, but was given up."""
        with self._lock:
            if sent is not None and self._sending is not sent:
                return
            lost = [*self._sending, *self._waiting]
            self._sending = ()
            self._waiting.clear()
            self._waiting_bytes = 0
            self._due.extend((one.on_delivery, None, error) for one in lost)

    # -- the thread -----------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Start the thread, unless it works already or nothing may be sent now."""
        held = self._held_error
        if held is not None and time.monotonic() < self._held_until:
            if self._held_key is None:
                return
            if self._held_key == self._key_or_fail():
                self._fail_all(held)
                return
        with self._lock:
            if self._working:
                return
            self._working = True
        if not in_sub_interpreter():  # one that ends with a thread aborts the process
            thread = threading.Thread(target=self._work, name="flowise-telemetry-gateway", daemon=True)
            with contextlib.suppress(RuntimeError):  # Python 3.12 starts no thread once the interpreter shuts down
                thread.start()
                return
        self._work()

    def _work(self) -> None:
        """Send batch after batch until none is left or one fails."""
        try:
            while (batch := self._next_batch()) and self._post(batch):
                pass
        except TelemetryError as error:  # a key file that cannot be read any more
            self._fail_all(_as_transport(error))
        except Exception as error:  # a bug of ours must not leave records without an answer
            self._fail_all(DeliveryError(f"the batch cannot be sent: {type(error).__name__}", retryable=True))
        finally:
            if self._sending:  # killed, as a greenlet can be
                self._fail_all(DeliveryTimeoutError("the request was cut short"))
            self._working = False
            if self._closed:
                self._connection.close()

    def _next_batch(self) -> tuple[_Waiting, ...]:
        with self._lock:
            batch: list[_Waiting] = []
            size = 0
            while self._waiting and len(batch) < self._batch_records and not self._closed:
                size += self._waiting[0].size_bytes
                if batch and size > self._batch_bytes:
                    break
                batch.append(self._waiting.popleft())
            self._sending = tuple(batch)
            return self._sending

    def _post(self, batch: tuple[_Waiting, ...]) -> bool:
        """Send a batch and settle it; return False if what waits behind it has failed too."""
        key = self._settings.key
        try:
            verdict = self._verdict([one.record for one in batch], key)
        except TransportError as error:
            self._fail_all(error, batch)
            return False
        if verdict.answer is not None:
            self._held_error = None
            self._settle(batch, verdict.answer)
            return True
        if verdict.splits:
            self._split(batch)
            return True
        reason = verdict.error or DeliveryError("no answer", retryable=True)
        if isinstance(reason, DeliveryError) and not reason.retryable:
            self._settle_each(batch, reason)  # the last word on these records alone
            return True
        self._held_until = time.monotonic() + verdict.hold_seconds
        self._held_error = reason if verdict.hold_seconds else None
        self._held_key = key if verdict.by_key else None
        self._fail_all(reason, batch)
        return False

    def _verdict(self, records: Sequence[WireRecord], key: str) -> Verdict:
        body = encode_batch(records)
        is_gzip = len(body) >= _WORTH_COMPRESSING_BYTES
        if is_gzip:
            body = gzip.compress(body, _GZIP_LEVEL, mtime=0)
        response = self._connection.post(body, is_gzip=is_gzip, key=key)
        return verdict_of(response, sent=len(records), shown=self._settings.shown)

    def _settle(self, batch: tuple[_Waiting, ...], answer: Answer) -> None:
        refused = {refusal.index: refusal_error(refusal, self._settings.shown) for refusal in answer.refused}
        with self._lock:
            if self._sending is not batch:
                return  # given up meanwhile
            for place, one in enumerate(batch):
                error = refused.get(place)
                self._due.append((one.on_delivery, None if error else Delivery(GATEWAY, -1, -1), error))
            self._forget(batch)
            # Slowly back to what they were before a batch was split: it may have been for one record.
            self._batch_records = min(_BATCH_RECORDS, self._batch_records + self._batch_records // 8 + 1)
            self._batch_bytes = min(self._most_bytes, self._batch_bytes + self._batch_bytes // 8 + 1)

    def _settle_each(self, batch: tuple[_Waiting, ...], error: TransportError) -> None:
        with self._lock:
            if self._sending is batch:
                self._due.extend((one.on_delivery, None, error) for one in batch)
                self._forget(batch)

    def _split(self, batch: tuple[_Waiting, ...]) -> None:
        """Put a batch back that was too large, and make later ones smaller."""
        with self._lock:
            if self._sending is batch:
                self._batch_records = max(1, len(batch) // 2)
                self._batch_bytes = max(1, sum(one.size_bytes for one in batch) // 2)
                self._waiting.extendleft(reversed(batch))
                self._sending = ()

    def _forget(self, batch: tuple[_Waiting, ...]) -> None:
        self._sending = ()
        self._waiting_bytes -= sum(one.size_bytes for one in batch)

    def _key_or_fail(self) -> str | None:
        with contextlib.suppress(TelemetryError):
            return self._settings.key
        return None


def _as_transport(error: TelemetryError) -> TransportError:
    return error if isinstance(error, TransportError) else TransportError(error.message)
