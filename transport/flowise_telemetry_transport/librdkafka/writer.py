"""Writing through confluent-kafka."""

from __future__ import annotations

import contextlib
import functools
import time
from typing import Any

from flowise_telemetry_transport.errors import BufferFullError, TransportError
from flowise_telemetry_transport.librdkafka.client import confluent_kafka, free, make_client
from flowise_telemetry_transport.librdkafka.credentials import Credentials
from flowise_telemetry_transport.librdkafka.errors import translate_delivery_error, translate_exception
from flowise_telemetry_transport.settings import KafkaSettings, WriterOptions
from flowise_telemetry_transport.types import Delivery, OnDelivery, OutgoingRecord

__all__ = ["LibrdkafkaWriter"]

_PURGE_SECONDS = 1.0
_ANY_PARTITION = -1


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
        self._open()

    def _open(self) -> None:
        self._producer = make_client(self._kafka.Producer, self._settings, self._config, self._credentials)
        self._produce = self._producer.produce

    def _replace_fatal(self) -> None:
        """Make a new client for one that has given up for ever, as it does when it is refused its producer id.

        The callbacks of its records run, with errors that are worth a retry.
        """
        if self._closed or not self._credentials.take_fatal():
            return
        old = [self._producer]
        _end(self._kafka, old[0], _PURGE_SECONDS)
        self._open()
        free(old, _PURGE_SECONDS)

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
                self._report_by_key if by_key else functools.partial(_report, on_delivery),
                **more,
            )
        except Exception as error:
            if key is not None and by_key:
                del self._callbacks[key]
            if isinstance(error, BufferError):
                raise BufferFullError("the send buffer is full", topic=record.topic) from error
            if isinstance(error, self._kafka.KafkaException):
                raise translate_exception(error, f"send to {record.topic}", topic=record.topic) from error
            raise

    def _call_back(self, error: Any, message: Any) -> None:
        (on_delivery,) = self._callbacks.pop(message.key())
        _report(on_delivery, error, message)

    def poll(self) -> None:
        """See ``RecordWriter``."""
        producer = self._producer
        if producer is not None:
            producer.poll(0)
            self._credentials.renew(producer)
            self._replace_fatal()

    def flush(self, *, timeout_seconds: float) -> int:
        """See ``RecordWriter``."""
        producer = self._producer
        if producer is None:
            return 0
        left = _flushed(self._kafka, producer, timeout_seconds)
        self._replace_fatal()
        return left

    def close(self, *, timeout_seconds: float) -> None:
        """See ``RecordWriter``; may take a second longer, to run the callbacks of abandoned records."""
        if self._closed:
            return
        self._closed = True
        end = time.monotonic() + timeout_seconds
        if _flushed(self._kafka, self._producer, max(0.0, timeout_seconds)):
            _end(self._kafka, self._producer, max(_PURGE_SECONDS, end - time.monotonic()))
        client, self._produce, self._producer = [self._producer], None, None
        free(client, max(0.0, end - time.monotonic()))


def _flushed(kafka: Any, producer: Any, seconds: float) -> int:
    """Flush; return how many records are left. A client that has given up for ever raises in place of that."""
    try:
        return int(producer.flush(seconds))
    except kafka.KafkaException:
        return len(producer)


def _end(kafka: Any, producer: Any, seconds: float) -> None:
    """Take the records back, and run their callbacks."""
    with contextlib.suppress(kafka.KafkaException):
        producer.purge()
    if _flushed(kafka, producer, seconds):
        producer.poll(0)


def _report(on_delivery: OnDelivery, error: Any, message: Any) -> None:
    if error is None:
        on_delivery(Delivery(message.topic(), message.partition(), message.offset()), None)
    else:
        on_delivery(None, translate_delivery_error(error, message.topic()))
