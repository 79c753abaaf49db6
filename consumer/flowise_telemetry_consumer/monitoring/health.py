"""Whether the consumer turns, and whether it does its work."""

from __future__ import annotations

from flowise_telemetry_consumer.clock import Clock
from flowise_telemetry_consumer.monitoring.counters import Progress

__all__ = ["MAX_POLL_AGE_SECONDS", "poll_age_seconds", "why_not_alive", "why_not_ready"]

MAX_POLL_AGE_SECONDS = 60.0
"""When the last poll is longer ago than this, the loop hangs: a restart is the mend."""


def poll_age_seconds(progress: Progress, clock: Clock) -> float:
    """How long ago the consumer last asked for records, or was made."""
    return max(0.0, clock.monotonic() - progress.polled_at)


def why_not_alive(progress: Progress, clock: Clock) -> str | None:
    """None while the loop turns; a consumer that waits for its sink or its brokers is alive."""
    age = poll_age_seconds(progress, clock)
    return f"the last poll was {age:.0f} s ago" if age > MAX_POLL_AGE_SECONDS else None


def why_not_ready(progress: Progress, clock: Clock) -> str | None:
    """None while records go from the topic into the sink; else, in one line, why they do not."""
    why = why_not_alive(progress, clock)
    if why is not None:
        return why
    if progress.outage is not None:
        return f"waiting: {progress.outage}"
    if not progress.assigned:
        return "no partitions are assigned: the group is being joined, or has more members than the topic partitions"
    return None
