"""Records that cannot become rows: why, and the record that says so on the dead-letter topic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self, get_args

from flowise_telemetry_schemas import EventSchema, TelemetryError, ValidationError
from flowise_telemetry_schemas.errors import DecodeError
from flowise_telemetry_schemas.json_mapping import rfc3339
from flowise_telemetry_transport.types import Headers, OutgoingRecord, Record

__all__ = ["HEADERS", "MAX_MESSAGE_BYTES", "REASONS", "DeadLetter", "Reason", "Stage", "outgoing"]

Reason = Literal[
    "null_value",
    "empty",
    "too_large",
    "unknown_framing",
    "unknown_fingerprint",
    "truncated",
    "trailing_bytes",
    "malformed",
    "constraint",
    "unreadable",
]
"""Why a record is a dead letter; the first eight are the reasons of ``DecodeError``."""

REASONS: tuple[Reason, ...] = get_args(Reason)

Stage = Literal["read", "decode", "constraints"]
"""Where on its way the record failed."""

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


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record as it was read, and what is wrong with it.

    ``message`` never contains a value of the record. ``field`` is the path of the first broken rule; ``schema`` is
    ``<event>.v<version>``, or the fingerprint in hexadecimal where no schema has it.
    """

    record: Record
    reason: Reason
    stage: Stage
    error_class: str
    message: str
    field: str | None = None
    schema: str | None = None

    @classmethod
    def of_decode_error(cls, record: Record, error: DecodeError) -> Self:
        """The dead letter of a record whose bytes are not a record of a known schema."""
        known: Reason = next((reason for reason in REASONS if reason == error.reason), "malformed")
        return cls(
            record=record,
            reason=known,
            stage="decode",
            error_class=type(error).__name__,
            message=error.message,
            schema=error.schema,
        )

    @classmethod
    def of_violation(cls, record: Record, schema: EventSchema, error: ValidationError) -> Self:
        """The dead letter of a record that breaks a bound of its schema."""
        return cls(
            record=record,
            reason="constraint",
            stage="constraints",
            error_class=type(error).__name__,
            message=error.message,
            field=error.field,
            schema=f"{schema.event}.v{schema.version}",
        )

    @classmethod
    def of_unreadable(cls, error: TelemetryError, *, topic: str, partition: int, offset: int) -> Self:
        """The dead letter of a record that the Kafka client itself cannot parse: there are no bytes to keep."""
        return cls(
            record=Record(topic=topic, partition=partition, offset=offset, timestamp_ms=-1, key=None, value=None),
            reason="unreadable",
            stage="read",
            error_class=type(error).__name__,
            message=error.message,
        )


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
