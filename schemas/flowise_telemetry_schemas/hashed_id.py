"""Ids made of content: the same content has the same id, whoever makes it and however often."""

from __future__ import annotations

import hashlib

__all__ = ["hashed_id"]


def hashed_id(content: bytes, *, made_ms: int) -> str:
    """Return a UUIDv7 (RFC 9562) with this time, in milliseconds since 1970, and a hash in place of chance.

    It has a time because sinks look for known ids among those of the same time.
    """
    digest = int.from_bytes(hashlib.sha256(content).digest()[:10], "big")
    random_a, random_b = digest >> 68, digest & ((1 << 62) - 1)
    text = f"{(made_ms & ((1 << 48) - 1)) << 80 | 7 << 76 | random_a << 64 | 2 << 62 | random_b:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
