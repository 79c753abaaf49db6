"""This machine's clock against another's. Kafka's brokers do not tell theirs: the times of records have to do."""

from __future__ import annotations

import time

from flowise_telemetry_transport.diagnosis import requests
from flowise_telemetry_transport.diagnosis.finding import Finding, not_tried, ok, warning
from flowise_telemetry_transport.diagnosis.requests import TopicState
from flowise_telemetry_transport.diagnosis.wire import Wire

__all__ = ["clock_finding", "look_at_times"]

_MUCH_SECONDS = 30.0
_LATER_MS = 60_000


def clock_finding(name: str, whose: str, theirs_seconds: float, ours_seconds: float) -> Finding:
    """Return how far this clock is from theirs, both in seconds since 1970, asked for at the same moment."""
    ahead = ours_seconds - theirs_seconds
    if abs(ahead) < _MUCH_SECONDS:
        return ok(name, f"this clock and that of {whose} agree")
    side = "ahead of" if ahead > 0 else "behind"
    return warning(name, f"this clock is {abs(ahead):,.0f} s {side} that of {whose}", "set both by NTP")


def look_at_times(wire: Wire, state: TopicState, topic: str) -> Finding:
    """Return whether records are of later than now: then this clock is behind, or that of an app ahead."""
    later = requests.has_later(wire, state, topic, time.time_ns() // 1_000_000 + _LATER_MS)
    if later is None:
        return not_tried("clock", "this broker leads no partition of the topic, and so tells no times of its records")
    if later:
        says = f"records of {topic} are of more than a minute from now: this clock is behind, or an app's ahead"
        return warning("clock", says, "set both by NTP")
    return ok("clock", f"no record of {topic} is of later than now")
