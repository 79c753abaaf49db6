"""Avro's variable-length zig-zag numbers (specification 1.12, "Binary Encoding"), on the hot paths of both sides."""

from __future__ import annotations

__all__ = ["decode_long", "encode_long", "encode_unsigned"]

_MAX_BYTES = 10  # of 7 bits each, for 64
_SINGLE_BYTES = tuple(bytes([number]) for number in range(0x80))


def encode_long(number: int) -> bytes:
    """Encode an int of at most 64 bits, sign included."""
    bits = (number << 1) ^ (number >> 63)
    return _SINGLE_BYTES[bits] if bits < 0x80 else encode_unsigned(bits)


def encode_unsigned(number: int) -> bytes:
    """Encode an int that is not negative without zig-zag: seven bits a byte, the lowest first."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def decode_long(data: bytes, at: int) -> tuple[int, int]:
    """Decode the number at position ``at``; return it and the position after it.

    A number may have more bytes than it needs, up to ten; bits over 64 are dropped. Raises ``ValueError`` for a longer
    one and ``IndexError`` if ``data`` ends inside it.
    """
    byte = data[at]
    if byte < 0x80:
        return byte >> 1 ^ -(byte & 1), at + 1
    bits = byte & 0x7F
    for place in range(1, _MAX_BYTES):
        byte = data[at + place]
        bits |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            bits &= 2**64 - 1
            return bits >> 1 ^ -(bits & 1), at + place + 1
    raise ValueError("a number has more than 64 bits")
