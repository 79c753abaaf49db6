"""Which partition a key goes to: murmur2 as every Kafka client has it, so that a resent event lands where it was."""

from __future__ import annotations

__all__ = ["partition_for"]

_MASK = 0xFFFF_FFFF
_M = 0x5BD1_E995
_SEED = 0x9747_B28C


def partition_for(key: bytes, partitions: int) -> int:
    """The partition of ``key`` among so many, as Java's default partitioner and both adapters choose it."""
    return (_murmur2(key) & 0x7FFF_FFFF) % partitions


def _murmur2(data: bytes) -> int:
    # MurmurHash2, 32 bit, by Austin Appleby (public domain), with Kafka's seed.
    state = _SEED ^ len(data)
    whole = len(data) & ~3
    for start in range(0, whole, 4):
        block = int.from_bytes(data[start : start + 4], "little") * _M & _MASK
        block ^= block >> 24
        state = (state * _M & _MASK) ^ (block * _M & _MASK)
    if tail := data[whole:]:
        state = (state ^ int.from_bytes(tail, "little")) * _M & _MASK
    state ^= state >> 13
    state = state * _M & _MASK
    return state ^ (state >> 15)
