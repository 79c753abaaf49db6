"""The names of the topics."""

from __future__ import annotations

__all__ = ["EVENTS_TOPIC", "dead_letter_topic_of"]

EVENTS_TOPIC = "flowise.telemetry.events"
"""Where events go unless something else is said."""


def dead_letter_topic_of(topic: str) -> str:
    """Where the dead letters of a topic go unless something else is said."""
    return f"{topic}.dlq"
