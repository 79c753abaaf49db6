"""Slow steps beside the sender's thread, which has a spool to write and answers to count meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeGuard, TypeVar

__all__ = ["Aside", "is_done"]

Result = TypeVar("Result")


class Aside(Generic[Result]):
    """One step on a thread of its own; on the caller's where the process cannot have another one.

    Rings when it is ``done``. What it raises is raised by ``result``.
    """

    def __init__(self, step: Callable[[], Result], ring: Callable[[], None]) -> None:
        self._step = step
        self._ring = ring
        self._results: list[Result] = []
        self._error: Exception | None = None
        self.done = False
        """True once ``result`` may be asked."""
        thread = threading.Thread(target=self._run, name="flowise-telemetry-aside", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # Python 3.12 starts no thread once the interpreter shuts down
            self._run()

    def _run(self) -> None:
        try:
            self._results.append(self._step())
        except Exception as error:
            self._error = error
        except BaseException as error:  # a greenlet that is killed, or sys.exit: the caller tries again
            self._error = RuntimeError(repr(error))
        self.done = True
        self._ring()

    def result(self) -> Result:
        """Return what the step returned."""
        if self._error is not None:
            raise self._error
        return self._results[0]


def is_done(step: Aside[Result] | None) -> TypeGuard[Aside[Result]]:
    """Return True if there is a step, and it is done."""
    return step is not None and step.done
