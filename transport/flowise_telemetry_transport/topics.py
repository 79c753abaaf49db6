"""Names and limits of the topics."""

from __future__ import annotations

import hashlib

__all__ = ["EVENTS_TOPIC", "MAX_DEAD_LETTER_BYTES", "MAX_UNCOMPRESSED_BYTES", "dead_letter_topic_of"]

EVENTS_TOPIC = "flowise.telemetry.events"
"""The default topic of events."""

MAX_DEAD_LETTER_BYTES = 16 * 1_048_576
"""The ``max.message.bytes`` that a dead-letter topic should have: many times that of the topic it serves."""

MAX_UNCOMPRESSED_BYTES = 64 * 1_048_576
"""The largest dead letter or copy before it is compressed. After that the topic's own limit counts."""


_DEAD_LETTERS = ".dlq"
_MAX_NAME = 249  # org.apache.kafka.common.internals.Topic.MAX_NAME_LENGTH
_DIGEST_BYTES = 8


def dead_letter_topic_of(topic: str) -> str:
    """Return the default topic for the dead letters of a topic: its name with ``.dlq``.

    Of a name that would be longer than Kafka allows, a digest takes the place of the end.
    """
    if len(topic) + len(_DEAD_LETTERS) <= _MAX_NAME:
        return topic + _DEAD_LETTERS
    digest = hashlib.blake2b(topic.encode(), digest_size=_DIGEST_BYTES).hexdigest()
    kept = topic[: _MAX_NAME - len(_DEAD_LETTERS) - len(digest) - 1]
    return f"{kept}-{digest}{_DEAD_LETTERS}"
