"""Names and limits of the topics."""

from __future__ import annotations

__all__ = ["EVENTS_TOPIC", "MAX_DEAD_LETTER_BYTES", "MAX_UNCOMPRESSED_BYTES", "dead_letter_topic_of"]

EVENTS_TOPIC = "flowise.telemetry.events"
"""The default topic of events."""

MAX_DEAD_LETTER_BYTES = 16 * 1_048_576
"""The ``max.message.bytes`` that a dead-letter topic should have: many times that of the topic it serves."""

MAX_UNCOMPRESSED_BYTES = 64 * 1_048_576
"""The largest dead letter or copy before it is compressed. After that the topic's own limit counts."""


def dead_letter_topic_of(topic: str) -> str:
    """Return the default topic for the dead letters of a topic."""
    return f"{topic}.dlq"
