"""Dead letters: records that cannot become rows, with the reason. Reading and decoding make them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self, get_args

from flowise_telemetry_schemas import EventSchema, TelemetryError, ValidationError
from flowise_telemetry_schemas.errors import DecodeError
from flowise_telemetry_transport.types import Record

__all__ = ["REASONS", "DeadLetter", "Reason", "Stage"]

Reason = Literal[
    "tombstone",
    "empty",
    "too_large",
    "unknown_framing",
    "unknown_fingerprint",
    "unknown_schema",
    "truncated",
    "trailing_bytes",
    "malformed",
    "constraint",
    "unreadable",
    "refused",
]
"""The reasons of a dead letter; the first nine are those of ``DecodeError``."""

REASONS: tuple[Reason, ...] = get_args(Reason)

Stage = Literal["read", "decode", "constraints", "write"]
"""The stage at which the record failed."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record as it was read, and why it failed.

    ``message`` never contains a value of the record. ``field`` is the path of the first broken rule; ``schema`` is
    ``<event>.v<version>``, or the hexadecimal fingerprint if it belongs to no known schema.
    """

    record: Record
    reason: Reason
    stage: Stage
    error_class: str
    message: str
    field: str | None = None
    schema: str | None = None

    @classmethod
    def from_decode_error(cls, record: Record, error: DecodeError) -> Self:
        """Make the dead letter of a record whose bytes are not a record of a known schema."""
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
    def from_violation(cls, record: Record, schema: EventSchema, error: ValidationError) -> Self:
        """Make the dead letter of a record that breaks a constraint of its schema."""
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
    def from_unreadable(cls, error: TelemetryError, *, topic: str, partition: int, offset: int) -> Self:
        """Make the dead letter of a record that the Kafka client cannot parse: there are no bytes to keep."""
        return cls(
            record=Record(topic=topic, partition=partition, offset=offset, timestamp_ms=-1, key=None, value=None),
            reason="unreadable",
            stage="read",
            error_class=type(error).__name__,
            message=error.message,
        )

    @classmethod
    def from_refusal(cls, record: Record, error: TelemetryError, *, schema: str) -> Self:
        """Make the dead letter of a valid record whose row the sink refuses, by a rule that others made."""
        return cls(
            record=record,
            reason="refused",
            stage="write",
            error_class=type(error).__name__,
            message=error.message,
            schema=schema,
        )
