"""Counts of a gateway. They name no unknown event, no property, no client."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from flowise_telemetry_schemas.posthog import Why

__all__ = ["GatewayCounters"]


@dataclass(slots=True)
class GatewayCounters:
    """Plain counts, changed by the event loop's thread alone.

    ``requests`` are by route and status. ``accepted`` are events of PostHog's clients by name; ``unknown_events`` and
    ``unknown_properties`` are what no schema names, in two totals. ``refused_events`` are about a person, or retired;
    ``invalid_events`` break their schema, ``records`` are those of our own producers that were handed on, and
    ``refused_records`` the others by reason.
    """

    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)
    unknown_events: int = 0
    unknown_properties: int = 0
    refused_events: int = 0
    invalid_events: int = 0
    records: int = 0
    refused_records: Counter[str] = field(default_factory=Counter)
    bodies_bytes: int = 0
    """Of bodies that are in memory now."""

    def count_dropped(self, why: Why) -> None:
        """Count a message of which nothing is kept."""
        match why:
            case "unknown":
                self.unknown_events += 1
            case "refused":
                self.refused_events += 1
            case "invalid":
                self.invalid_events += 1
