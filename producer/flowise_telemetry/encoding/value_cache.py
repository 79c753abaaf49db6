"""Cache of encoded values: few values of a field are new."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["MAX_ENTRIES", "Write", "cached"]

MAX_ENTRIES = 4_096

Write = Callable[[Any], bytes]


class _Cache(dict[Any, bytes]):
    """Encoded values by value, bounded. A hit is one C-level look-up, without a call of Python code."""

    def __init__(self, write: Write, max_entries: int) -> None:
        super().__init__()
        self._write = write
        self._max_entries = max_entries

    def __missing__(self, value: Any) -> bytes:
        encoded = self._write(value)
        if len(self) >= self._max_entries:
            self.clear()
        self[value] = encoded
        return encoded


def cached(write: Write, max_entries: int = MAX_ENTRIES) -> Write:
    """Return the same writer, which encodes a value that it has seen once."""
    return _Cache(write, max_entries).__getitem__
