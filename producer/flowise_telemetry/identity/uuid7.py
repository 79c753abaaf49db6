"""Event ids: UUIDv7 (RFC 9562, section 5.7), each greater than the one before (section 6.2, method 2).

The standard library's ``uuid.uuid7()``, since Python 3.14, takes no time argument; an event's id must carry the time at
which the event occurred, which is earlier than its encoding.
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Iterator

__all__ = ["Uuid7"]

_RANDOM_BITS = 74  # rand_a and rand_b together
_STEPS_AT_ONCE = 256


class Uuid7:
    """Generator of one process's ids. Create a new one in the child of a fork, or both sides make the same ids."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last_ms = -1
        self._moment = ""
        self._random = 0
        self._steps: Iterator[int] = iter(())

    def make(self, unix_ms: int) -> str:
        """Return an id for a time in milliseconds since 1970, greater than all ids returned before.

        Within one millisecond, or if the clock went back, it is the last id plus a random step; so its time can be
        later than the one given, never earlier.
        """
        with self._lock:
            if unix_ms > self._last_ms:
                self._move_to(unix_ms)
                # The highest bit starts as 0, which leaves room for steps (section 6.2, "Counter Rollover Guards").
                self._random = int.from_bytes(os.urandom(10), "big") >> (80 - _RANDOM_BITS + 1)
            else:
                step = next(self._steps, None)
                self._random += 1 + (self._draw() if step is None else step)
                if self._random >> _RANDOM_BITS:
                    self._move_to(self._last_ms + 1)
                    self._random &= (1 << (_RANDOM_BITS - 1)) - 1
            moment, random = self._moment, self._random
        low = random & 0x3FFF_FFFF_FFFF_FFFF
        return f"{moment}{random >> 62:03x}-{0x8000 | low >> 48:04x}-{low & 0xFFFF_FFFF_FFFF:012x}"

    def _move_to(self, unix_ms: int) -> None:
        self._last_ms = unix_ms
        text = f"{unix_ms:012x}"
        self._moment = f"{text[:8]}-{text[8:]}-7"

    def _draw(self) -> int:
        # Many at once, because a system call for each would cost as much as the rest of the id.
        self._steps = iter(struct.unpack(f">{_STEPS_AT_ONCE}I", os.urandom(4 * _STEPS_AT_ONCE)))
        return next(self._steps)
