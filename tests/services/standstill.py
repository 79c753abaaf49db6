"""Processes that stand still and go on, or end at once, with all that they started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

__all__ = ["Standstill"]

_END_SECONDS = 180


class Standstill:
    """What runs as ``_process``, if it runs."""

    _process: subprocess.Popen[Any] | None = None

    @property
    def is_up(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.poll() is None

    def freeze(self) -> None:
        """Let it stand still, as a machine that is suspended: connections stay open, and nothing answers."""
        if self._process is not None:
            _signal(self._process.pid, signal.SIGSTOP)
            _until_stopped(self._process.pid)

    def thaw(self) -> None:
        """Let it go on."""
        if self._process is not None:
            _signal(self._process.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, as a power cut does."""
        if self._process is not None:
            _signal(self._process.pid, signal.SIGKILL)
            self._process.wait(_END_SECONDS)


def _signal(process: int, number: signal.Signals) -> None:
    """The parent first: frozen or dead, it starts no other child."""
    with contextlib.suppress(ProcessLookupError):
        children = _children(process)
        os.kill(process, number)
        for child in {*children, *_children(process)}:
            _signal(child, number)


def _until_stopped(process: int) -> None:
    """A signal takes its time on a machine that is busy; nothing to wait for where the system does not tell."""
    end = time.monotonic() + _END_SECONDS
    threads = [Path(f"/proc/{process}/task/{thread.name}/stat") for thread in Path(f"/proc/{process}/task").glob("*")]
    while not all(map(_is_stopped, threads)):
        assert time.monotonic() < end, f"process {process} goes on"
        time.sleep(0.005)


def _is_stopped(stat: Path) -> bool:
    try:
        state = stat.read_text().rpartition(")")[2].split()[0]
    except OSError:  # it has ended
        return True
    return state in {"T", "t", "Z", "X"}


def _children(process: int) -> set[int]:
    """Of all its threads; none where the system does not tell."""
    found: set[int] = set()
    for thread in Path(f"/proc/{process}/task").glob("*"):
        with contextlib.suppress(OSError):
            found |= {int(child) for child in (thread / "children").read_text().split()}
    return found
