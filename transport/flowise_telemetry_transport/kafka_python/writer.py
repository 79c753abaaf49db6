"""Writing with kafka-python."""

from __future__ import annotations

import threading
import time
from typing import Any

from flowise_telemetry_transport.errors import (
    BrokerUnavailableError,
    BufferFullError,
    DeliveryTimeoutError,
    MessageTooLargeError,
    TransportError,
    UnknownTopicError,
)
from flowise_telemetry_transport.kafka_python.config import client_config
from flowise_telemetry_transport.kafka_python.failures import delivery_failure, failure
from flowise_telemetry_transport.settings import KafkaSettings
from flowise_telemetry_transport.types import Delivery, OnDelivery, OutgoingRecord

__all__ = ["KafkaPythonWriter"]

_RETRY_BACKOFF_MS = 100


class KafkaPythonWriter:
    """A ``RecordWriter``; the producer is made at the first ``send``, which is also the first time a broker is needed.

    There is no idempotence in this client: after a lost acknowledgement a retry writes a record twice. The client
    has no
    delivery timeout either, so this keeps one: ``poll``, ``flush`` and ``close`` serve it. Nor can it write a header
    whose value
    is null: that becomes an empty one (librdkafka keeps it).
    """

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        client_id: str,
        delivery_timeout_seconds: float,
        block_seconds: float,
        linger_ms: int,
        max_record_bytes: int,
        buffer_bytes: int,
        compression: str | None,
    ) -> None:
        self._settings = settings
        self._delivery_timeout_seconds = delivery_timeout_seconds
        self._config: dict[str, Any] = {
            "client_id": client_id,
            "acks": "all",
            "retries": max(1, int(delivery_timeout_seconds * 1000 / _RETRY_BACKOFF_MS)),
            "retry_backoff_ms": _RETRY_BACKOFF_MS,
            "max_in_flight_requests_per_connection": 1,  # else a retry overtakes
            "max_block_ms": int(block_seconds * 1000),
            "linger_ms": linger_ms,
            "max_request_size": max_record_bytes,
            "buffer_memory": buffer_bytes,
            "compression_type": compression,
            # The client refuses a record without key and value before it looks at anything else.
            "value_serializer": lambda value: None if value is _NULL else value,
        }
        self._block_seconds = block_seconds
        self._lock = threading.Lock()
        self._done = threading.Condition()
        self._pending: dict[int, tuple[float, OnDelivery, str]] = {}
        self._last_ticket = 0
        self._producer: Any = None
        self._closed = False

    def _connected(self) -> Any:
        with self._lock:
            if self._closed:
                raise TransportError("the writer is closed")
            if self._producer is None:
                self._producer = self._open()
            return self._producer

    def _open(self) -> Any:
        client_config(self._settings, {})  # silences the client before its first import
        from kafka import KafkaProducer

        config = client_config(self._settings, KafkaProducer.DEFAULT_CONFIG)
        # A send waits here, so the caller's bound holds.
        config["api_version_auto_timeout_ms"] = min(
            config["api_version_auto_timeout_ms"], int(self._block_seconds * 1000)
        )
        try:
            return KafkaProducer(**{**self._config, **config})
        except Exception as error:
            raise failure(error, f"no connection to {self._settings.servers_text}") from error

    def send(self, record: OutgoingRecord, on_delivery: OnDelivery) -> None:
        """See ``RecordWriter``."""
        producer = self._connected()
        topic = record.topic
        try:
            partitions = producer.partitions_for(topic)
        except Exception as error:
            if type(error).__name__ == "KafkaTimeoutError":
                raise BrokerUnavailableError(
                    f"no metadata for topic {topic} from {self._settings.servers_text} within"
                    f" {self._block_seconds:g} s: the broker is away or the topic does not exist",
                    topic=topic,
                ) from error
            raise failure(error, f"metadata of {topic}", topic=topic) from error
        if record.partition is not None and record.partition not in partitions:
            raise UnknownTopicError(
                f"{topic} has no partition {record.partition}", topic=topic, partition=record.partition
            )
        ticket = self._take_ticket(topic, on_delivery)
        try:
            future = producer.send(
                topic,
                key=record.key,
                value=_NULL if record.value is None else record.value,
                headers=[(name, b"" if value is None else value) for name, value in record.headers],
                partition=record.partition,
                timestamp_ms=record.timestamp_ms,
            )
        except Exception as error:
            self._resolve(ticket)
            if type(error).__name__ == "KafkaTimeoutError":
                raise BufferFullError(f"the send buffer is full for {self._block_seconds:g} s", topic=topic) from error
            raise failure(error, f"send to {topic}", topic=topic) from error
        if future.failed() and type(future.exception).__name__ == "MessageSizeTooLargeError":
            # The client reports what it refuses itself like a refusal of the broker; the port has it raised.
            if self._resolve(ticket) is not None:
                raise MessageTooLargeError(f"record for {topic}: {future.exception}", topic=topic)
            return
        future.add_callback(self._delivered, ticket)
        future.add_errback(self._failed, ticket)

    def _take_ticket(self, topic: str, on_delivery: OnDelivery) -> int:
        with self._done:
            self._last_ticket += 1
            deadline = time.monotonic() + self._delivery_timeout_seconds
            self._pending[self._last_ticket] = (deadline, on_delivery, topic)
            return self._last_ticket

    def _resolve(self, ticket: int) -> OnDelivery | None:
        """The callback if it is still owed: whoever gets it calls it."""
        with self._done:
            entry = self._pending.pop(ticket, None)
            if not self._pending:
                self._done.notify_all()
        return None if entry is None else entry[1]

    def _delivered(self, ticket: int, metadata: Any) -> None:
        with self._done:
            entry = self._pending.get(ticket)
        if entry is None:
            return
        delivery = Delivery(metadata.topic, metadata.partition, metadata.offset)
        try:
            entry[1](delivery, None)
        finally:
            self._resolve(ticket)

    def _failed(self, ticket: int, error: BaseException) -> None:
        with self._done:
            entry = self._pending.get(ticket)
        if entry is None:
            return
        try:
            entry[1](None, delivery_failure(error, entry[2]))
        finally:
            self._resolve(ticket)

    def poll(self) -> None:
        """See ``RecordWriter``."""
        self._expire(time.monotonic())

    def _expire(self, now: float, *, reason: str = "no acknowledgement in time") -> None:
        with self._done:
            due = [ticket for ticket, (deadline, _, _) in self._pending.items() if deadline <= now]
            entries = [self._pending.pop(ticket) for ticket in due]
            if not self._pending:
                self._done.notify_all()
        for _, on_delivery, topic in entries:
            on_delivery(None, DeliveryTimeoutError(f"delivery to {topic}: {reason}", topic=topic))

    def flush(self, *, timeout_seconds: float) -> int:
        """See ``RecordWriter``."""
        # The client's own flush waits for its timeout once per batch; what is lingering leaves within linger_ms anyway.
        end = time.monotonic() + timeout_seconds
        while True:
            self._expire(time.monotonic())
            with self._done:
                remaining = end - time.monotonic()
                if not self._pending or remaining <= 0:
                    return len(self._pending)
                nearest = min(deadline for deadline, _, _ in self._pending.values()) - time.monotonic()
                self._done.wait(max(0.0, min(remaining, nearest)))

    def close(self, *, timeout_seconds: float) -> None:
        """See ``RecordWriter``."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            producer = self._producer
        end = time.monotonic() + timeout_seconds
        self.flush(timeout_seconds=timeout_seconds)
        if producer is not None:
            producer.close(timeout=max(0.0, end - time.monotonic()))
        self._expire(float("inf"), reason="not acknowledged before the writer was closed")


_NULL = object()
