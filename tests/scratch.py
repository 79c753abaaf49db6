"""The folder that tests write to: in memory, where there is room, as syncs of a disk take a tenth of a run."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

__all__ = ["Scratch"]

_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 8 << 30


class Scratch:
    """The run's own folder, which is ``TMPDIR`` of all its processes; a ``TMPDIR`` that was given stays."""

    def __init__(self) -> None:
        self._folder: str | None = None

    def take(self) -> None:
        """Make it, unless there is too little memory."""
        if "TMPDIR" in os.environ or not os.access(_MEMORY, os.W_OK) or _room_bytes() < _ROOM_BYTES:
            return
        self._folder = tempfile.mkdtemp(prefix="ft-", dir=_MEMORY)  # short: sockets lie in it
        Path(self._folder).chmod(0o755)  # as root, servers run as users of their own
        os.environ["TMPDIR"] = self._folder
        tempfile.tempdir = None  # read anew

    def remove(self) -> None:
        """Give the memory back."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _room_bytes() -> int:
    """What the folder and the machine's memory have left."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return min(int(line.split()[1]) * 1024, shutil.disk_usage(_MEMORY).free)
    return 0
