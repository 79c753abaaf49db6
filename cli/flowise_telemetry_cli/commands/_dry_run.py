"""What would be kept of each event, on stdout: ``gateway --dry-run``."""

from __future__ import annotations

import json

from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_schemas import Catalog, codec, record_to_json
from flowise_telemetry_schemas.envelope import STREAM_STATE
from flowise_telemetry_schemas.posthog import NotMappedError
from flowise_telemetry_transport import Delivery, OnDelivery, OutgoingRecord

__all__ = ["DryRun"]


class DryRun:
    """A ``RecordWriter`` that prints each record, decoded from the very bytes that would have been sent."""

    def __init__(self, schemas: Catalog) -> None:
        self._schemas = schemas

    def send(self, record: OutgoingRecord, on_delivery: OnDelivery) -> None:
        """Print the record."""
        schema, fields = codec.decode(record.value, self._schemas)
        if schema.event != STREAM_STATE:
            echo(json.dumps(record_to_json(schema, fields), ensure_ascii=True))
        on_delivery(Delivery(record.topic, -1, -1), None)

    def dropped(self, error: NotMappedError) -> None:
        """Print why nothing of a message is kept; an unknown one is not named."""
        echo(json.dumps({"dropped": error.why, "message": str(error)}))

    def poll(self) -> None:
        """Do nothing: ``send`` has called back already."""

    def flush(self, *, timeout_seconds: float) -> int:
        """Return 0: nothing is ever in flight."""
        return 0

    def close(self, *, timeout_seconds: float) -> None:
        """Do nothing: stdout stays open."""
