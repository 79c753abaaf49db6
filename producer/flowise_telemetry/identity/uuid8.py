"""UUIDv8 (RFC 9562, section 5.8): a hash in the form of a UUID."""

from __future__ import annotations

__all__ = ["uuid8"]


def uuid8(digest: bytes) -> str:
    """Return the first 122 bits of a digest that are left beside version and variant, as a UUID."""
    raw = bytearray(digest[:16])
    raw[6] = 0x80 | raw[6] & 0x0F
    raw[8] = 0x80 | raw[8] & 0x3F
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
