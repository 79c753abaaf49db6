"""Hands records on to the cluster, and says of each batch what became of it once all are acknowledged."""

from __future__ import annotations

import contextlib
import functools
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field

from flowise_telemetry_gateway.refusal import RefusedRequestError
from flowise_telemetry_schemas.errors import TelemetryError
from flowise_telemetry_transport import (
    BufferFullError,
    Delivery,
    DeliveryError,
    DeliveryTimeoutError,
    MessageTooLargeError,
    OutgoingRecord,
    RecordWriter,
    TransportError,
)
from flowise_telemetry_transport.errors import TimestampRefusedError
from flowise_telemetry_transport.gateway.wire import Refusal, WireRecord
from flowise_telemetry_transport.record_times import NO_TIME, RecordTimes, without_time

__all__ = ["Forwarder"]

logger = logging.getLogger("flowise_telemetry.gateway")

_LOOK_SECONDS = 0.005
_PAUSE_SECONDS = 5.0  # after a failure, in which nothing is tried: whoever sent it keeps it
_ROOM_SECONDS = 0.1
_AHEAD_MS = 50 * 60_000  # brokers take an hour (message.timestamp.after.max.ms); their clock is another one


@dataclass(slots=True, eq=False)
class _Batch:
    records: Sequence[tuple[int, OutgoingRecord]]
    deadline: float
    is_alone: bool = False
    future: Future[list[Refusal]] = field(default_factory=Future)
    waiting: set[int] = field(default_factory=set)
    undated: list[tuple[int, OutgoingRecord]] = field(default_factory=list)
    alone: list[tuple[int, OutgoingRecord]] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)


class Forwarder:
    """One writer on a thread of its own, made at the first batch: a client that blocks holds up no request.

    A batch that is not acknowledged within ``answer_seconds`` fails, and for five seconds after it every other at
    once, so that an outage costs no client more than that: a producer keeps its records until they are accepted.
    """

    def __init__(
        self,
        topic: str,
        make_writer: Callable[[], RecordWriter],
        *,
        answer_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topic = topic
        self._make_writer = make_writer
        self._answer_seconds = answer_seconds
        self._clock = clock
        self._queue: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._answers: deque[tuple[_Batch, int, OutgoingRecord, TransportError | None]] = deque()
        self._open: dict[_Batch, None] = {}
        self._writer: RecordWriter | None = None
        self._times = RecordTimes()
        self._paused_until = float("-inf")
        self._thread: threading.Thread | None = None
        self._said = False

    def submit(self, records: Sequence[tuple[int, WireRecord]]) -> Future[list[Refusal]]:
        """Take records with their places; the future has those that the cluster refuses for good.

        It raises ``RefusedRequestError`` (503) where it is not known of all that they were accepted.
        """
        latest_ms = time.time_ns() // 1_000_000 + _AHEAD_MS
        outgoing = [
            (index, OutgoingRecord(self._topic, its.key, its.value, its.headers, _time_of(its, latest_ms)))
            for index, its in records
        ]
        batch = _Batch(outgoing, self._clock() + self._answer_seconds)
        if self._clock() < self._paused_until:
            batch.future.set_exception(_unavailable())
            return batch.future
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="flowise-telemetry-forwarder", daemon=True)
            self._thread.start()
        self._queue.put(batch)
        return batch.future

    def close(self, timeout_seconds: float) -> None:
        """Wait for what is on its way, at most so long, and close the writer."""
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join(timeout_seconds)

    # -- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        closing = False
        while not closing or self._open:
            batch = self._next()
            closing = closing or batch is _CLOSE
            try:
                if isinstance(batch, _Batch):
                    self._send(batch)
                self._settle()
            except Exception as error:  # a client's own, or a bug of ours: the thread must not end, nor say a value
                self._begin_anew(error)
        if self._writer is not None:
            with contextlib.suppress(Exception):
                self._writer.close(timeout_seconds=1.0)

    def _begin_anew(self, error: Exception) -> None:
        """Fail all batches that are open, and give the writer up: the next batch makes another."""
        for batch in list(self._open):
            self._fail(batch, error)
        self._answers.clear()
        writer, self._writer = self._writer, None
        if writer is not None:
            with contextlib.suppress(Exception):
                writer.close(timeout_seconds=0.0)

    def _next(self) -> _Batch | object | None:
        """Return the next batch; None if none came while answers are awaited."""
        try:
            batch = self._queue.get(timeout=_LOOK_SECONDS) if self._open else self._queue.get()
        except queue.Empty:
            return None
        return _CLOSE if batch is None else batch

    def _send(self, batch: _Batch) -> None:
        self._open[batch] = None
        if self._clock() < self._paused_until:  # it came before the failure was known
            self._fail(batch, _unavailable())
            return
        try:
            if self._writer is None:
                self._writer = self._make_writer()
            # At most one change in a batch: it waits for the answers to all that the client has.
            for index, record in sorted(batch.records, key=lambda its: _is_undated(its[1])):
                self._send_one(self._writer, batch, index, record)
        except Exception as error:
            self._fail(batch, error)

    def _send_one(self, writer: RecordWriter, batch: _Batch, index: int, record: OutgoingRecord) -> None:
        """Give a record to the client, waiting for room: a batch larger than its buffer is no outage."""
        if self._times.would_mix(_is_undated(record), unanswered=True):
            self._drain(writer, batch)
            self._times.begin(_is_undated(record))
        batch.waiting.add(index)
        while True:
            try:
                writer.send(record, functools.partial(self._on_delivery, batch, index, record))
            except MessageTooLargeError as error:
                batch.waiting.discard(index)
                batch.refused.append(_refusal(index, error))
            except BufferFullError:
                if self._clock() > batch.deadline:
                    raise
                writer.flush(timeout_seconds=_ROOM_SECONDS)
                continue
            return

    def _drain(self, writer: RecordWriter, batch: _Batch) -> None:
        """Wait until the client has answered for all that it has; raise ``DeliveryTimeoutError`` at the deadline."""
        if writer.flush(timeout_seconds=max(0.0, batch.deadline - self._clock())):
            raise DeliveryTimeoutError("records that were sent before are not acknowledged")

    def _on_delivery(
        self, batch: _Batch, index: int, record: OutgoingRecord, _: Delivery | None, error: TransportError | None
    ) -> None:
        self._answers.append((batch, index, record, error))

    def _settle(self) -> None:
        if self._writer is not None:
            with contextlib.suppress(TransportError):
                self._writer.poll()
        while self._answers:
            batch, index, record, error = self._answers.popleft()
            if batch in self._open:
                self._take(batch, index, record, error)
        now = self._clock()
        for batch in list(self._open):
            if not batch.waiting and (batch.undated or batch.alone):
                self._send_again(batch)
            elif not batch.waiting:
                self._finish(batch)
            elif now > batch.deadline:
                self._fail(batch, _unavailable())

    def _take(self, batch: _Batch, index: int, record: OutgoingRecord, error: TransportError | None) -> None:
        batch.waiting.discard(index)
        if error is None:
            self._said = False
        elif isinstance(error, MessageTooLargeError) and not batch.is_alone:
            batch.alone.append((index, record))  # it, or all that the client sent with it
        elif isinstance(error, TimestampRefusedError) and not _is_undated(record):
            batch.undated.append((index, without_time(record)))  # it, or all that the client sent with it
        elif isinstance(error, DeliveryError) and not error.retryable:
            batch.refused.append(_refusal(index, error))
        else:
            self._fail(batch, error)

    def _send_again(self, batch: _Batch) -> None:
        """Send what was refused for a time, without it; and one by one what was refused for the size."""
        writer = self._writer
        if writer is None:
            return
        try:
            undated, batch.undated = batch.undated, []
            for index, record in undated:
                self._send_one(writer, batch, index, record)
            if not undated:
                self._drain(writer, batch)  # of what other requests sent, which would be in the same batch
                self._send_alone(writer, batch)
        except TransportError as error:
            self._fail(batch, error)

    def _send_alone(self, writer: RecordWriter, batch: _Batch) -> None:
        """Send one record after the other, each as a batch of its own."""
        while batch.alone and batch in self._open:
            index, record = batch.alone.pop(0)
            single = _Batch([(index, record)], batch.deadline, is_alone=True)
            self._open[single] = None
            try:
                self._send_one(writer, single, index, record)
                self._drain(writer, single)
            except TransportError as error:
                self._fail(single, error)
            while self._answers:
                its, place, sent, failure = self._answers.popleft()
                if its in self._open:
                    self._take(its, place, sent, failure)
            if single.waiting:
                self._fail(single, _unavailable())
            self._open.pop(single, None)
            if single.future.done():
                self._fail(batch, _unavailable())
            batch.refused += single.refused
            batch.alone[:0] = single.undated

    def _finish(self, batch: _Batch) -> None:
        self._open.pop(batch, None)
        with contextlib.suppress(InvalidStateError):  # whoever waited was cancelled
            batch.future.set_result(sorted(batch.refused, key=lambda refusal: refusal.index))

    def _fail(self, batch: _Batch, error: Exception) -> None:
        if self._open.pop(batch, _CLOSE) is _CLOSE:
            return
        self._paused_until = max(self._paused_until, self._clock() + _PAUSE_SECONDS)
        if not self._said:
            self._said = True
            told = error.message if isinstance(error, TelemetryError | RefusedRequestError) else type(error).__name__
            logger.warning("records cannot be handed on; producers keep them: %s", told)
        with contextlib.suppress(InvalidStateError):
            batch.future.set_exception(_unavailable())


_CLOSE = object()


def _time_of(record: WireRecord, latest_ms: int) -> int | None:
    """Return the record's time; none for one so late that brokers refuse it, and all that is sent with it."""
    time_ms = record.timestamp_ms
    return time_ms if time_ms is None or time_ms <= latest_ms else NO_TIME


def _is_undated(record: OutgoingRecord) -> bool:
    return record.timestamp_ms == NO_TIME


def _refusal(index: int, error: TransportError) -> Refusal:
    """Return what is told to strangers: the error's own text may name topics and brokers."""
    logger.debug("a record was refused by the cluster: %s", error.message)
    if isinstance(error, MessageTooLargeError):
        return Refusal(index, "too_large", "the cluster takes no record as large as this one")
    return Refusal(index, "rejected", "the cluster refuses this record")


def _unavailable() -> RefusedRequestError:
    return RefusedRequestError(503, "unavailable", "the brokers do not answer", retry_after_seconds=int(_PAUSE_SECONDS))
