"""The partition of a key: murmur2 as in every Kafka client, so that a resent event lands on the same partition."""

from __future__ import annotations

import struct

__all__ = ["partition_for"]

_MASK = 0xFFFF_FFFF
_M = 0x5BD1_E995
_SEED = 0x9747_B28C


def partition_for(key: bytes, partitions: int) -> int:
    """Return the partition of ``key`` as Java's default partitioner and all adapters choose it."""
    return (_murmur2(key) & 0x7FFF_FFFF) % partitions


def _murmur2(data: bytes) -> int:
    # MurmurHash2, 32 bit, by Austin Appleby (public domain), with Kafka's seed. Mask to 32 bits only before a right
    # shift: this hash is half of our own cost of passing a record to kafka-python.
    length = len(data)
    state = _SEED ^ length
    blocks = length >> 2
    for word in struct.unpack_from(f"<{blocks}I", data):
        block = word * _M & _MASK
        state = (state * _M ^ (block ^ block >> 24) * _M) & _MASK
    if tail := data[blocks << 2 :]:
        state = (state ^ int.from_bytes(tail, "little")) * _M & _MASK
    state ^= state >> 13
    state = state * _M & _MASK
    return state ^ (state >> 15)
