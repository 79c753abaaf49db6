"""Writing to the in-memory broker."""

from __future__ import annotations

import time
from collections import deque

from flowise_telemetry_transport.errors import (
    BufferFullError,
    DeliveryTimeoutError,
    MessageTooLargeError,
    TransportError,
)
from flowise_telemetry_transport.memory.cluster import Cluster
from flowise_telemetry_transport.types import Delivery, OnDelivery, OutgoingRecord

__all__ = ["InMemoryWriter"]


class InMemoryWriter:
    """A ``RecordWriter``. A record is readable once ``send`` returns; ``poll``, ``flush`` and ``close`` run callbacks.

    While the broker is down, records wait in a buffer of ``buffer_records``.
    """

    def __init__(self, cluster: Cluster, max_record_bytes: int, buffer_records: int) -> None:
        self._cluster = cluster
        self._max_record_bytes = max_record_bytes
        self._buffer_records = buffer_records
        self._waiting: deque[tuple[OutgoingRecord, int, OnDelivery]] = deque()
        self._due: deque[tuple[OnDelivery, Delivery | None, TransportError | None]] = deque()
        self._closed = False

    def send(self, record: OutgoingRecord, on_delivery: OnDelivery) -> None:
        """See ``RecordWriter``."""
        size = len(record.key or b"") + len(record.value or b"")
        size += sum(len(name.encode()) + len(value or b"") for name, value in record.headers)
        if size > self._max_record_bytes:
            raise MessageTooLargeError(f"record of {size} bytes for {record.topic}", topic=record.topic)
        with self._cluster.changed:
            if self._closed:
                raise TransportError("the writer is closed")
            if len(self._waiting) + len(self._due) >= self._buffer_records:
                raise BufferFullError(f"the send buffer holds {self._buffer_records} records", topic=record.topic)
            self._waiting.append((record, size, on_delivery))
            self._hand_over()

    def _hand_over(self) -> None:
        while self._waiting and not self._cluster.down:
            record, size, on_delivery = self._waiting.popleft()
            try:
                self._due.append((on_delivery, self._cluster.append(record, size), None))
            except TransportError as error:
                self._due.append((on_delivery, None, error))

    def poll(self) -> None:
        """See ``RecordWriter``."""
        with self._cluster.changed:
            self._hand_over()
            due, self._due = self._due, deque()
        for on_delivery, delivery, error in due:
            on_delivery(delivery, error)

    def flush(self, *, timeout_seconds: float) -> int:
        """See ``RecordWriter``."""
        end = time.monotonic() + timeout_seconds
        while True:
            self.poll()
            with self._cluster.changed:
                remaining = end - time.monotonic()
                if not (self._waiting or self._due) or remaining <= 0:
                    return len(self._waiting) + len(self._due)
                if not self._due and self._cluster.down:
                    self._cluster.changed.wait(remaining)

    def close(self, *, timeout_seconds: float) -> None:
        """See ``RecordWriter``."""
        self.flush(timeout_seconds=timeout_seconds)
        with self._cluster.changed:
            self._closed = True
            waiting, self._waiting = self._waiting, deque()
        for record, _, on_delivery in waiting:
            reason = f"delivery to {record.topic}: not acknowledged before the writer was closed"
            on_delivery(None, DeliveryTimeoutError(reason, topic=record.topic))
