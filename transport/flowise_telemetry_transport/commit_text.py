"""The text of an offset commit, closed by a character of our own.

librdkafka commits a NUL after the text, which other clients read as part of it; and where a text that another client
committed has none, confluent-kafka 2.16.1 reads on in its memory, up to the next one.
"""

from __future__ import annotations

__all__ = ["closed", "text_of"]

_END = "\x03"  # ASCII "end of text"


def closed(text: str) -> str:
    """Return a text as it is committed; none stays none."""
    return text + _END if text else ""


def text_of(committed: str) -> str:
    """Return the text of a fetched commit, without what follows it. Another program's comes as it is."""
    return committed.partition(_END)[0]
