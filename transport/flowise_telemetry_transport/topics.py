"""The names of the topics."""

from __future__ import annotations

__all__ = ["EVENTS_TOPIC", "MAX_DEAD_LETTER_BYTES", "dead_letter_topic_of"]

EVENTS_TOPIC = "flowise.telemetry.events"
"""Where events go unless something else is said."""

MAX_DEAD_LETTER_BYTES = 16 * 1_048_576
"""What the dead-letter topic's ``max.message.bytes`` should be: many times that of the topic it serves."""


def dead_letter_topic_of(topic: str) -> str:
    """Where the dead letters of a topic go unless something else is said."""
    return f"{topic}.dlq"
