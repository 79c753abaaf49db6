"""Print events to stderr instead of sending them: ``FLOWISE_TELEMETRY_DEBUG=1``."""

from __future__ import annotations

import json
import sys

from flowise_telemetry_schemas import Catalog, catalog, codec, record_to_json
from flowise_telemetry_transport.types import Delivery, OnDelivery, OutgoingRecord

__all__ = ["DebugWriter"]


class DebugWriter:
    """A ``RecordWriter`` that prints each record to stderr as one line of JSON. Imports no Kafka client."""

    def __init__(self, schemas: Catalog | None = None) -> None:
        self._schemas = schemas or catalog()

    def send(self, record: OutgoingRecord, on_delivery: OnDelivery) -> None:
        """Print the record, decoded from the very bytes that would have been sent."""
        schema, decoded = codec.decode(record.value, self._schemas)
        line = json.dumps(record_to_json(schema, decoded), ensure_ascii=True)
        sys.stderr.write(f"flowise-telemetry (not sent, {len(record.value or b'')} bytes): {line}\n")
        on_delivery(Delivery(record.topic, -1, -1), None)

    def poll(self) -> None:
        """Do nothing: ``send`` has called back already."""

    def flush(self, *, timeout_seconds: float) -> int:
        """Return 0: nothing is ever in flight."""
        return 0

    def close(self, *, timeout_seconds: float) -> None:
        """Do nothing: stderr stays open."""
