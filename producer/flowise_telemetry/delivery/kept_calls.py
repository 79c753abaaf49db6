"""Calls back once events are encoded and, where there is a spool, on disk."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable

__all__ = ["KeptCalls"]


class KeptCalls:
    """Any thread asks; the sender's thread answers."""

    def __init__(self) -> None:
        self._calls: deque[tuple[int, Callable[[], None]]] = deque()

    def __len__(self) -> int:
        return len(self._calls)

    def ask(self, number: int, call: Callable[[], None]) -> None:
        """Have ``call`` called once every event with a lower number is kept."""
        self._calls.append((number, call))

    def answer(self, lowest: int) -> None:
        """Call those back that wait for no event of this number or above."""
        while self._calls and self._calls[0][0] <= lowest:
            self._answer_one()

    def answer_all(self) -> None:
        """Call everyone back: there will be nobody to do it later."""
        while self._calls:
            self._answer_one()

    def _answer_one(self) -> None:
        with contextlib.suppress(Exception):  # another thread took it; or a bug of the caller's
            self._calls.popleft()[1]()
