"""This machine's clock against another's."""

from __future__ import annotations

from flowise_telemetry_transport.diagnosis.finding import Finding, ok, warning

__all__ = ["clock_finding"]

_MUCH_SECONDS = 30.0


def clock_finding(name: str, whose: str, theirs_seconds: float, ours_seconds: float) -> Finding:
    """Return how far this clock is from theirs, both in seconds since 1970, asked for at the same moment."""
    ahead = ours_seconds - theirs_seconds
    if abs(ahead) < _MUCH_SECONDS:
        return ok(name, f"this clock and that of {whose} agree")
    side = "ahead of" if ahead > 0 else "behind"
    return warning(name, f"this clock is {abs(ahead):,.0f} s {side} that of {whose}", "set both by NTP")
