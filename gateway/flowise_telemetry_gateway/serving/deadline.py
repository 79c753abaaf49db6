"""A time limit for many short waits at once: a timer for each takes longer than most bodies take to arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

__all__ = ["Deadline"]

_Value = TypeVar("_Value")


class Deadline:
    """Ends waits that take more than ``seconds``, by one timer. Belongs to one event loop."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until: dict[asyncio.Task[Any], float] = {}  # the first to begin is the first to be late
        self._timer: asyncio.TimerHandle | None = None

    async def bounded(self, waited_for: Awaitable[_Value]) -> _Value:
        """Return what an awaitable returns. Raises ``TimeoutError`` where it takes too long, as ``asyncio.timeout``."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline is for tasks")
        loop = task.get_loop()
        cancelled_before = task.cancelling()
        self._until[task] = loop.time() + self._seconds
        if self._timer is None:
            self._timer = loop.call_later(self._seconds, self._look, loop)
        try:
            return await waited_for
        except asyncio.CancelledError:
            if task not in self._until and task.uncancel() <= cancelled_before:
                raise TimeoutError from None
            raise
        finally:
            self._until.pop(task, None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        for task, until in list(self._until.items()):
            if until > loop.time():
                self._timer = loop.call_at(until, self._look, loop)
                return
            del self._until[task]
            task.cancel()
