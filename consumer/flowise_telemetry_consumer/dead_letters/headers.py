"""The record of the dead-letter topic that a dead letter becomes."""

from __future__ import annotations

from flowise_telemetry_consumer.dead_letter import DeadLetter
from flowise_telemetry_schemas.json_mapping import rfc3339
from flowise_telemetry_transport.types import Headers, OutgoingRecord

__all__ = ["HEADERS", "MAX_MESSAGE_BYTES", "outgoing"]

MAX_MESSAGE_BYTES = 1024

HEADERS = (
    "dlq.source.topic",
    "dlq.source.partition",
    "dlq.source.offset",
    "dlq.source.timestamp",
    "dlq.reason",
    "dlq.stage",
    "dlq.field",
    "dlq.error.class",
    "dlq.error.message",
    "dlq.schema",
    "dlq.consumer.group",
    "dlq.failed.at",
    "dlq.redrive.count",
)
"""The headers of a dead letter, as text in UTF-8. One whose value is not known is left out."""

_REDRIVE_COUNT = "dlq.redrive.count"


def outgoing(letter: DeadLetter, *, topic: str, group: str, failed_at_ms: int) -> OutgoingRecord:
    """The record for the dead-letter topic: key, value, timestamp and headers as they were, and ours at the end.

    A record that has been a dead letter before gets the headers of the latest failure in place of the old ones;
    only its ``dlq.redrive.count`` stays. Other headers stay in their order, also those that occur twice.
    """
    record = letter.record
    kept = tuple((name, value) for name, value in record.headers if name not in HEADERS)
    values = {
        "dlq.source.topic": record.topic,
        "dlq.source.partition": str(record.partition),
        "dlq.source.offset": str(record.offset),
        "dlq.source.timestamp": str(record.timestamp_ms) if record.timestamp_ms >= 0 else None,
        "dlq.reason": letter.reason,
        "dlq.stage": letter.stage,
        "dlq.field": letter.field,
        "dlq.error.class": letter.error_class,
        "dlq.error.message": letter.message,
        "dlq.schema": letter.schema,
        "dlq.consumer.group": group,
        "dlq.failed.at": rfc3339(failed_at_ms),
        _REDRIVE_COUNT: str(_redrive_count(record.headers)),
    }
    ours = tuple((name, _shortened(value)) for name in HEADERS if (value := values[name]) is not None)
    return OutgoingRecord(
        topic=topic,
        key=record.key,
        value=record.value,
        headers=kept + ours,
        timestamp_ms=record.timestamp_ms if record.timestamp_ms >= 0 else None,
    )


def _redrive_count(headers: Headers) -> int:
    for name, value in reversed(headers):
        if name == _REDRIVE_COUNT and value is not None and value.isdigit() and len(value) < 10:
            return int(value)
    return 0


def _shortened(text: str) -> bytes:
    """UTF-8 of at most ``MAX_MESSAGE_BYTES``, cut between characters."""
    encoded = text.encode("utf-8", errors="replace")
    return encoded[:MAX_MESSAGE_BYTES].decode("utf-8", errors="ignore").encode("utf-8")
