"""The counts that ``gateway`` ends with."""

from __future__ import annotations

import json

from flowise_telemetry import Telemetry
from flowise_telemetry_cli.errors import DONE, INCOMPLETE
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_gateway import GatewayCounters

__all__ = ["report_counts"]


def report_counts(counters: GatewayCounters, telemetry: Telemetry, as_json: bool) -> int:
    """Print them, and return the exit status: incomplete where an accepted event was dropped."""
    stats = telemetry.stats()
    counts = {
        "accepted": counters.accepted.total(),
        "sent": stats.sent,
        "spooled": stats.spooled,
        "dropped": stats.dropped_events,
        "unknown events": counters.unknown_events,
        "unknown properties": counters.unknown_properties,
        "refused": counters.refused_events,
        "invalid": counters.invalid_events,
        "records": counters.records,
        "records refused": counters.refused_records.total(),
    }
    if as_json:
        echo(json.dumps({name.replace(" ", "_"): count for name, count in counts.items()}))
    else:
        echo(", ".join(f"{name} {count}" for name, count in counts.items()))
    return INCOMPLETE if stats.dropped_events else DONE
