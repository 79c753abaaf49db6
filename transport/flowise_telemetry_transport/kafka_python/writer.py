"""Writing through kafka-python."""

from __future__ import annotations

import contextlib
import functools
import selectors
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from flowise_telemetry_transport.errors import (
    BrokerUnavailableError,
    BufferFullError,
    DeliveryTimeoutError,
    MessageTooLargeError,
    TransportError,
    UnknownTopicError,
    missing_topic,
    not_permitted,
)
from flowise_telemetry_transport.kafka_python.config import client_config
from flowise_telemetry_transport.kafka_python.errors import is_own_refusal, translate_delivery_error, translate_error
from flowise_telemetry_transport.kafka_python.patches.rotation import rotating_client
from flowise_telemetry_transport.kafka_python.patches.threadless import Turns, make_producer
from flowise_telemetry_transport.kafka_python.patches.unauthorized import note_refused, was_missing
from flowise_telemetry_transport.kafka_python.release import import_kafka
from flowise_telemetry_transport.logging import quiet_threads_of
from flowise_telemetry_transport.partitioning import partition_for
from flowise_telemetry_transport.settings import KafkaSettings, WriterOptions
from flowise_telemetry_transport.types import Delivery, OnDelivery, OutgoingRecord

__all__ = ["KafkaPythonWriter"]

_RETRY_BACKOFF_MS = 100
_BATCH_BYTES = 65_536  # the client's default is 16 KiB; a larger batch costs less per record
_TOPIC_LOOK_SECONDS = 1.0
_API_VERSION = (2, 1, 0)  # the oldest that Kafka 4 speaks (KIP-896)

_Pending = tuple[Any, float, OnDelivery]
"""The client's future, its deadline (monotonic), and the callback."""


@dataclass(slots=True)
class _Topic:
    """A topic's partitions and, per partition, the records awaiting acknowledgement in the order of sending."""

    partitions: tuple[int, ...] = ()
    look_again_at: float = 0.0
    pending: dict[int | None, deque[_Pending]] = field(default_factory=dict)


class KafkaPythonWriter:
    """A ``RecordWriter``; the producer is created by the first ``send``, when a broker is first needed.

    Callbacks run in ``poll``, ``flush`` and ``close``: running them on the client's own thread costs more.

    kafka-python-ng is not idempotent: a retry after a lost acknowledgement writes a record twice. It has no delivery
    timeout, so this class keeps one. A header whose value is null becomes an empty one (librdkafka keeps null).
    """

    def __init__(
        self,
        settings: KafkaSettings,
        options: WriterOptions,
        *,
        client_id: str,
    ) -> None:
        self._settings = settings
        self._delivery_timeout_seconds = options.delivery_timeout_seconds
        self._config: dict[str, Any] = {
            "client_id": client_id,
            "acks": "all",
            "retries": max(1, int(options.delivery_timeout_seconds * 1000 / _RETRY_BACKOFF_MS)),
            "retry_backoff_ms": _RETRY_BACKOFF_MS,
            "max_in_flight_requests_per_connection": 1,  # or a retry would reorder records
            "max_block_ms": int(options.block_seconds * 1000),
            "linger_ms": options.linger_ms,
            "batch_size": min(options.batch_bytes or _BATCH_BYTES, options.buffer_bytes),
            "max_request_size": options.max_record_bytes,
            "buffer_memory": options.buffer_bytes,
            "compression_type": options.compression,
            # The client's default is that of its import: gevent and eventlet may have replaced it since.
            "selector": selectors.DefaultSelector,
        }
        self._block_seconds = options.block_seconds
        self._lock = threading.Lock()
        self._topics: dict[str, _Topic] = {}
        self._producer: Any = None
        self._turns: Turns | None = None  # of a producer without a thread
        self._closed = False

    def _connected(self) -> Any:
        with self._lock:
            if not self._closed and (self._producer is None or _is_closed(self._producer)):
                self._producer = self._open()
            return self._producer

    def _open(self) -> Any:
        client_class = import_kafka().KafkaProducer
        quiet_threads_of(self._config["client_id"])
        config = client_config(self._settings, client_class.DEFAULT_CONFIG)
        # ``send`` waits for this, so its own bound applies.
        for name in {"api_version_auto_timeout_ms", "bootstrap_timeout_ms"} & config.keys():
            config[name] = min(config[name], int(self._block_seconds * 1000))
        ours = {name: value for name, value in self._config.items() if name in client_class.DEFAULT_CONFIG}
        ours["value_serializer"] = _null_serializer()
        if "api_version_auto_timeout_ms" in client_class.DEFAULT_CONFIG:  # kafka-python-ng
            # To find the version out it asks for the metadata of all topics of the cluster, and reads them in Python.
            ours["api_version"] = _API_VERSION
        if (client := rotating_client(self._settings)) is not None:
            ours["kafka_client"] = client
        try:
            producer, self._turns = make_producer({**ours, **config})
            note_refused(producer._metadata)
        except Exception as error:
            raise translate_error(error, f"no connection to {self._settings.servers_text}") from error
        return producer

    def send(self, record: OutgoingRecord, on_delivery: OnDelivery) -> None:
        """See ``RecordWriter``."""
        producer = self._producer
        if producer is None or _is_closed(producer):
            producer = self._connected()
        if self._closed:
            raise TransportError("the writer is closed")
        name, key, partition = record.topic, record.key, record.partition
        now = time.monotonic()
        topic = self._topics.get(name)
        if topic is None or now >= topic.look_again_at:
            topic = self._look_at(producer, name, now)
        if partition is None:
            if key is not None:
                partition = topic.partitions[partition_for(key, len(topic.partitions))]
        elif partition not in topic.partitions:
            raise UnknownTopicError(f"{name} has no partition {partition}", topic=name, partition=partition)
        try:
            future = producer.send(
                name,
                _NULL if record.value is None else record.value,
                key,
                [(name, b"" if value is None else value) for name, value in record.headers],
                partition,
                record.timestamp_ms,
            )
        except Exception as error:
            topic.look_again_at = 0.0  # the topic may have changed
            if type(error).__name__ == "KafkaTimeoutError":
                waited = f"{self._block_seconds:g} s"
                raise BufferFullError(f"the send buffer has been full for {waited}", topic=name) from error
            raise translate_error(error, f"send to {name}", topic=name) from error
        if future.is_done and is_own_refusal(future.exception):
            # The client reports its own refusal through the future, like the broker's; the port raises it.
            raise MessageTooLargeError(f"record for {name}: {future.exception}", topic=name)
        pending = topic.pending.get(partition)
        if pending is None:
            pending = topic.pending.setdefault(partition, deque())
        pending.append((future, now + self._delivery_timeout_seconds, on_delivery))

    def _look_at(self, producer: Any, name: str, now: float) -> _Topic:
        """Return the topic with the partitions that the client knows of; may wait for the first metadata."""
        try:
            partitions = producer.partitions_for(name)
        except Exception as error:
            if name in getattr(producer._metadata, "unauthorized_topics", ()):
                raise not_permitted("topic", f"metadata of {name}", topic=name) from error
            if type(error).__name__ == "KafkaTimeoutError":
                # It asks in the background all the time, so the last answer may be older than this call.
                if was_missing(producer._metadata, name, since=now - _TOPIC_LOOK_SECONDS):
                    raise missing_topic(name, retryable=True) from error
                raise BrokerUnavailableError(
                    f"no metadata for topic {name} from {self._settings.servers_text} within"
                    f" {self._block_seconds:g} s: the broker is unreachable, or the topic does not exist: create"
                    " it with flowise-telemetry topics create",
                    topic=name,
                ) from error
            raise translate_error(error, f"metadata of {name}", topic=name) from error
        topic = self._topics.setdefault(name, _Topic())
        topic.partitions = tuple(sorted(partitions))
        topic.look_again_at = now + _TOPIC_LOOK_SECONDS
        return topic

    def poll(self) -> None:
        """See ``RecordWriter``."""
        if self._turns is not None and self._waiting():
            self._turns(lambda: True, 0.0)
        self._settle(time.monotonic())

    def _settle(self, now: float, *, reason: str = "no acknowledgement in time") -> None:
        """Run the callbacks of records that were answered or timed out; an answer after the timeout is not reported."""
        for name, topic in list(self._topics.items()):
            for pending in list(topic.pending.values()):
                # Within a partition the client settles records in the order of sending.
                while pending:
                    future, deadline, on_delivery = pending[0]
                    if not future.is_done and deadline > now:
                        break
                    pending.popleft()
                    if not future.is_done:
                        on_delivery(None, DeliveryTimeoutError(f"delivery to {name}: {reason}", topic=name))
                    elif future.exception is not None:
                        on_delivery(None, translate_delivery_error(future.exception, name))
                    else:
                        on_delivery(Delivery(name, future.value.partition, future.value.offset), None)

    def _waiting(self) -> list[deque[_Pending]]:
        return [pending for topic in list(self._topics.values()) for pending in list(topic.pending.values()) if pending]

    def flush(self, *, timeout_seconds: float) -> int:
        """See ``RecordWriter``."""
        # The client's own ``flush`` applies its timeout to each batch. A lingering batch leaves within linger_ms.
        end = time.monotonic() + timeout_seconds
        while True:
            now = time.monotonic()
            self._settle(now)
            waiting = self._waiting()
            if not waiting or now >= end:
                return sum(map(len, waiting))
            nearest = min(pending[0][1] for pending in waiting)
            future, seconds = waiting[0][0][0], max(0.0, min(end, nearest) - now)
            # The next iteration looks at the outcome.
            with contextlib.suppress(Exception):
                if self._turns is None:
                    future.get(timeout=seconds)
                else:
                    self._turns(functools.partial(getattr, future, "is_done"), seconds)

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
        self._settle(float("inf"), reason="not acknowledged before the writer was closed")


def _is_closed(producer: Any) -> bool:
    """Return True if something else than we closed the producer, as its own exit handler does."""
    return getattr(producer, "_closed", False) is True


_NULL = object()


def _null_serializer() -> Any:
    """Return a serializer that leaves values unchanged, but turns ``_NULL`` into null.

    The client itself refuses a record that has neither key nor value.
    """
    from kafka.serializer import Serializer

    class NullSerializer(Serializer):  # type: ignore[misc]  # kafka-python ships no types
        def serialize(self, *topic_and_value: Any) -> Any:  # kafka-python 3 passes the headers too, before the value
            return None if topic_and_value[-1] is _NULL else topic_and_value[-1]

    return NullSerializer()
