"""Liveness and readiness of a consumer."""

from __future__ import annotations

from flowise_telemetry_consumer.clock import Clock
from flowise_telemetry_consumer.monitoring.counters import ConsumerCounters

__all__ = ["MAX_ANSWER_SECONDS", "MAX_POLL_AGE_SECONDS", "poll_age_seconds", "why_not_alive", "why_not_ready"]

MAX_POLL_AGE_SECONDS = 60.0
"""Age of the last poll beyond which the loop counts as hung; a restart mends that."""

MAX_ANSWER_SECONDS = 30.0
"""Time after which a sink that has not answered counts as an outage, though nothing has failed yet."""


def poll_age_seconds(counters: ConsumerCounters, clock: Clock) -> float:
    """Return the seconds since the consumer last polled, or since it was made."""
    return max(0.0, clock.monotonic() - counters.polled_at)


def why_not_alive(counters: ConsumerCounters, clock: Clock) -> str | None:
    """Return None while the loop runs, else the reason. A consumer that waits for its sink or its brokers is alive."""
    age = poll_age_seconds(counters, clock)
    return f"the last poll was {age:.0f} s ago" if age > MAX_POLL_AGE_SECONDS else None


def why_not_ready(counters: ConsumerCounters, clock: Clock) -> str | None:
    """Return None while records go from the topic into the sink, else the reason in one line."""
    return why_not_alive(counters, clock) or _why_waiting(counters, clock) or _why_idle(counters)


def _why_waiting(counters: ConsumerCounters, clock: Clock) -> str | None:
    """Return what a consumer waits for; None if for nothing but records."""
    if counters.outage is not None:
        return f"waiting: {counters.outage}"
    if counters.brokers_away is not None:
        return f"waiting for the brokers: {counters.brokers_away}"
    since = counters.advancing_since
    if since is not None and clock.monotonic() - since > MAX_ANSWER_SECONDS:
        return f"waiting: the sink has not answered for {clock.monotonic() - since:.0f} s"
    return None


def _why_idle(counters: ConsumerCounters) -> str | None:
    if counters.draining:
        return "stopping: it writes and commits what it has"
    if not counters.assigned:
        return (
            "no partitions are assigned: the consumer is still joining its group, or the group has more members than"
            " the topic has partitions"
        )
    return None
