"""Writing through confluent-kafka."""

from __future__ import annotations

import contextlib
import functools
import time
from typing import Any

from flowise_telemetry_transport.errors import AuthorizationError, BufferFullError, DeliveryError, TransportError
from flowise_telemetry_transport.librdkafka.client import confluent_kafka, free, make_client
from flowise_telemetry_transport.librdkafka.credentials import Credentials
from flowise_telemetry_transport.librdkafka.errors import translate_delivery_error, translate_error
from flowise_telemetry_transport.settings import KafkaSettings, WriterOptions
from flowise_telemetry_transport.types import Delivery, OnDelivery, OutgoingRecord

__all__ = ["LibrdkafkaWriter"]

_PURGE_SECONDS = 1.0
_SERVE_SECONDS = 0.1
_ANY_PARTITION = -1
_NEVER_SENT = frozenset({"_PURGE_QUEUE", "_FATAL"})


class LibrdkafkaWriter:
    """A ``RecordWriter``; idempotent (KIP-98), so that a retry never writes a record twice.

    Callbacks run in ``poll``, ``flush`` and ``close``. ``send`` never waits: a record that the broker refuses, one for
    an unknown topic included, fails in its callback.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        options: WriterOptions,
        *,
        client_id: str,
    ) -> None:
        self._kafka = confluent_kafka()
        self._closed = False
        self._callbacks: dict[bytes, tuple[OnDelivery]] = {}
        self._report_by_key = self._call_back  # bound once
        self._credentials = Credentials(settings)
        self._settings = settings
        self._config = {
            "client.id": client_id,
            "enable.idempotence": True,  # implies acks=all, retries and order
            "partitioner": "murmur2_random",  # as in Java and kafka-python
            "delivery.timeout.ms": int(options.delivery_timeout_seconds * 1000),
            "topic.metadata.propagation.max.ms": int(options.block_seconds * 1000),
            "linger.ms": options.linger_ms,
            "message.max.bytes": options.max_record_bytes,
            "queue.buffering.max.kbytes": max(1, options.buffer_bytes // 1024),
            "compression.type": options.compression or "none",
            **({} if options.batch_bytes is None else {"batch.size": options.batch_bytes}),
        }
        self._producer: Any = None
        self._produce: Any = None
        self._fatal: Any = None  # the ``KafkaError`` with which the client gave up for ever
        self._open()

    def _open(self) -> None:
        self._producer = make_client(self._kafka.Producer, self._settings, self._config, self._credentials)
        self._produce = self._producer.produce

    def _replace_fatal(self) -> bool:
        """Make a new client for one that has given up for ever, as it does when it is refused its producer id.

        The callbacks of its records run, with what it gave up for: another try may succeed. False if it has not.
        """
        if self._closed or self._fatal is None:
            return False
        old = [self._producer]
        self._end(old[0], _PURGE_SECONDS)
        self._open()
        self._fatal = None
        free(old, _PURGE_SECONDS)
        return True

    def send(self, record: OutgoingRecord, on_delivery: OnDelivery) -> None:
        """See ``RecordWriter``."""
        produce = self._produce
        if produce is None:
            raise TransportError("the writer is closed")
        key, partition = record.key, record.partition
        # A callback object per record would cost as much as the record, so one callback looks up the others by key.
        entry = (on_delivery,)
        by_key = key is not None and self._callbacks.setdefault(key, entry) is entry
        more: dict[str, Any] = {}
        if record.headers:
            more["headers"] = list(record.headers)
        if record.timestamp_ms is not None:
            more["timestamp"] = record.timestamp_ms
        try:
            produce(
                record.topic,
                record.value,
                key,
                _ANY_PARTITION if partition is None else partition,
                self._report_by_key if by_key else functools.partial(self._report, on_delivery),
                **more,
            )
        except Exception as error:
            if key is not None and by_key:
                del self._callbacks[key]
            if isinstance(error, BufferError):
                raise BufferFullError("the send buffer is full", topic=record.topic) from error
            if isinstance(error, self._kafka.KafkaException):
                raise translate_error(self._cause_of(error), f"send to {record.topic}", topic=record.topic) from error
            raise

    def _call_back(self, error: Any, message: Any) -> None:
        (on_delivery,) = self._callbacks.pop(message.key())
        self._report(on_delivery, error, message)

    def _report(self, on_delivery: OnDelivery, error: Any, message: Any) -> None:
        if error is None:
            on_delivery(Delivery(message.topic(), message.partition(), message.offset()), None)
        elif self._fatal is not None and error.name() in _NEVER_SENT:
            cause = translate_delivery_error(self._fatal, message.topic())
            again = DeliveryError(cause.message, topic=cause.topic, retryable=True)
            on_delivery(None, cause if isinstance(cause, AuthorizationError) else again)
        else:
            on_delivery(None, translate_delivery_error(error, message.topic()))

    def _cause_of(self, error: Any) -> Any:
        """Return the ``KafkaError`` of a refused send; a client that has given up says no more than that it has."""
        said = error.args[0]
        if said.name() == "_FATAL" and self._fatal is None:
            self._serve(self._producer)
        return self._fatal if said.name() == "_FATAL" and self._fatal is not None else said

    def poll(self) -> None:
        """See ``RecordWriter``."""
        producer = self._producer
        if producer is not None:
            self._serve(producer)
            self._credentials.renew(producer)
            self._replace_fatal()

    def flush(self, *, timeout_seconds: float) -> int:
        """See ``RecordWriter``."""
        producer = self._producer
        if producer is None:
            return 0
        left = self._flushed(producer, timeout_seconds, until_fatal=True)
        return 0 if self._replace_fatal() else left

    def close(self, *, timeout_seconds: float) -> None:
        """See ``RecordWriter``; may take a second longer, to run the callbacks of abandoned records."""
        if self._closed:
            return
        self._closed = True
        end = time.monotonic() + timeout_seconds
        if self._flushed(self._producer, max(0.0, timeout_seconds), until_fatal=True):
            self._end(self._producer, max(_PURGE_SECONDS, end - time.monotonic()))
        client, self._produce, self._producer = [self._producer], None, None
        free(client, max(0.0, end - time.monotonic()))

    def _serve(self, producer: Any, seconds: float = 0.0) -> None:
        """Run the callbacks that are due. A client that has given up for ever says so by an exception, once."""
        try:
            producer.poll(seconds)
        except self._kafka.KafkaException as error:
            if error.args[0].fatal():
                self._fatal = error.args[0]

    def _flushed(self, producer: Any, seconds: float, *, until_fatal: bool = False) -> int:
        """Wait for the answers; return how many records are left. ``until_fatal``: not once the client has given up.

        Not by the client's ``flush``: with the exception of one that gives up it would go on to the records' callbacks,
        in which any call into the interpreter then fails with ``SystemError``; ``poll`` returns first.
        """
        end = time.monotonic() + seconds
        while left := len(producer):
            remaining = end - time.monotonic()
            self._serve(producer, max(0.0, min(remaining, _SERVE_SECONDS)))
            if remaining <= 0 or (until_fatal and self._fatal is not None):
                return len(producer)
        return left

    def _end(self, producer: Any, seconds: float) -> None:
        """Take the records back, and run their callbacks."""
        with contextlib.suppress(self._kafka.KafkaException):
            producer.purge()
        if self._flushed(producer, seconds):
            self._serve(producer)
