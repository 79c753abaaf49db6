"""The five fields at the start of every record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["ENVELOPE_FIELDS", "STREAM_STATE", "VERSION_FIELD", "Envelope"]

ENVELOPE_FIELDS = ("eventId", "occurredAt", "instanceId", "streamId", "sequence")
"""The fields that the producer fills, in the order in which every schema begins with them."""

VERSION_FIELD = "version"
"""The app's version follows the envelope in every schema; ``Telemetry(app_version=...)`` fills it in if it is None."""

STREAM_STATE = "stream_state"
"""The control record in which a stream tells how many events it numbered, and what became of them."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event's sender, time and place in its stream. ``occurred_at_ms``: milliseconds since 1970, UTC."""

    event_id: str
    occurred_at_ms: int
    instance_id: str
    stream_id: str
    sequence: int

    def fields(self) -> dict[str, Any]:
        """Return the envelope in wire form."""
        return {
            "eventId": self.event_id,
            "occurredAt": self.occurred_at_ms,
            "instanceId": self.instance_id,
            "streamId": self.stream_id,
            "sequence": self.sequence,
        }
