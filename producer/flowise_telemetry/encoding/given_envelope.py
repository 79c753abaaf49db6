"""Envelope of an event that another program made: what ``relay`` is given in place of what the producer makes."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from flowise_telemetry_schemas.catalog import catalog
from flowise_telemetry_schemas.envelope import STREAM_STATE
from flowise_telemetry_schemas.errors import ValidationError

__all__ = ["GivenEnvelope"]


@dataclass(slots=True)  # not frozen: there is one for each event
class GivenEnvelope:
    """Id, time and installation of an event; stream and sequence are those of the process that relays it.

    Do not modify it.
    """

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
        rules = _rules()
        for name, value, pattern in (
            ("eventId", event_id, rules.event_id),
            ("instanceId", instance_id, rules.instance_id),
        ):
            if type(value) is not str or not pattern.fullmatch(value):
                message = f"{name}: must match {pattern.pattern}"
                raise ValidationError(message, event=event, field=name, rule="pattern")
        if type(occurred_at) is not int or not rules.first_ms <= occurred_at <= rules.last_ms:
            message = f"occurredAt: must be from {rules.first_ms} to {rules.last_ms}, in milliseconds since 1970"
            raise ValidationError(message, event=event, field="occurredAt", rule="minimum")
        return cls(event_id, occurred_at, instance_id)


class _Rules(NamedTuple):
    event_id: re.Pattern[str]
    instance_id: re.Pattern[str]
    first_ms: int
    last_ms: int


@functools.cache
def _rules() -> _Rules:
    """Return what the schemas say of an envelope."""
    fields = {field.name: field for field in catalog().latest(STREAM_STATE).fields}
    patterns = [re.compile(fields[name].pattern or "$^") for name in ("eventId", "instanceId")]
    times = fields["occurredAt"]
    return _Rules(patterns[0], patterns[1], times.minimum or 0, times.maximum or 0)
