"""How long to wait before the next try."""

from __future__ import annotations

__all__ = ["Backoff"]


class Backoff:
    """Doubling waits from ``initial_seconds`` to ``max_seconds``."""

    def __init__(self, *, initial_seconds: float, max_seconds: float) -> None:
        self._initial_seconds = initial_seconds
        self._max_seconds = max_seconds
        self._next_seconds = initial_seconds

    def next_seconds(self) -> float:
        """The wait before the next try."""
        seconds = self._next_seconds
        self._next_seconds = min(self._max_seconds, seconds * 2)
        return seconds

    def reset(self) -> None:
        """It worked: the next failure starts with the shortest wait again."""
        self._next_seconds = self._initial_seconds
