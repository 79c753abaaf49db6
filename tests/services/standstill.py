"""Processes that stand still and go on, or end at once, with all that they started."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

__all__ = ["freeze", "kill", "thaw"]


def freeze(process: int) -> None:
    """SIGSTOP: connections stay open, and nothing answers."""
    _signal(process, signal.SIGSTOP)


def thaw(process: int) -> None:
    """SIGCONT: go on after ``freeze``."""
    _signal(process, signal.SIGCONT)


def kill(process: int) -> None:
    """SIGKILL."""
    _signal(process, signal.SIGKILL)


def _signal(process: int, number: signal.Signals) -> None:
    """The parent first: frozen or dead, it starts no other child."""
    with contextlib.suppress(ProcessLookupError):
        children = _children(process)
        os.kill(process, number)
        for child in {*children, *_children(process)}:
            _signal(child, number)


def _children(process: int) -> set[int]:
    """Of all its threads; none where the system does not tell."""
    found: set[int] = set()
    for thread in Path(f"/proc/{process}/task").glob("*"):
        with contextlib.suppress(OSError):
            found |= {int(child) for child in (thread / "children").read_text().split()}
    return found
