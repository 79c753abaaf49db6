"""Envelope of an event that another program made: what ``relay`` is given in place of what the producer makes."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flowise_telemetry_schemas.catalog import catalog
from flowise_telemetry_schemas.envelope import STREAM_STATE
from flowise_telemetry_schemas.errors import ValidationError

__all__ = ["GivenEnvelope"]


@dataclass(frozen=True, slots=True)
class GivenEnvelope:
    """Id, time and installation of an event; its stream and sequence are those of the process that relays it."""

    event_id: str
    occurred_at_ms: int
    instance_id: str

    @classmethod
    def checked(cls, event: str, *, event_id: str, occurred_at: datetime | int, instance_id: str) -> GivenEnvelope:
        """Return the envelope; ``occurred_at`` is a time with a zone, or milliseconds since 1970.

        Raises ``ValidationError`` for what no record may have.
        """
        if isinstance(occurred_at, datetime):
            if occurred_at.tzinfo is None:
                raise ValidationError("occurredAt: must have a time zone", event=event, field="occurredAt", rule="type")
            occurred_at = int(occurred_at.timestamp() * 1000)
        for name, value in (("eventId", event_id), ("instanceId", instance_id)):
            if type(value) is not str or not _pattern_of(name).fullmatch(value):
                message = f"{name}: must match {_pattern_of(name).pattern}"
                raise ValidationError(message, event=event, field=name, rule="pattern")
        first, last = _times()
        if type(occurred_at) is not int or not first <= occurred_at <= last:
            message = f"occurredAt: must be from {first} to {last}, in milliseconds since 1970"
            raise ValidationError(message, event=event, field="occurredAt", rule="minimum")
        return cls(event_id, occurred_at, instance_id)


@functools.cache
def _envelope() -> dict[str, Any]:
    return {field.name: field for field in catalog().latest(STREAM_STATE).fields}


@functools.cache
def _pattern_of(name: str) -> re.Pattern[str]:
    return re.compile(_envelope()[name].pattern or "$^")


@functools.cache
def _times() -> tuple[int, int]:
    field = _envelope()["occurredAt"]
    return field.minimum or 0, field.maximum or 0
