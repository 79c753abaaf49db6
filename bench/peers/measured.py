"""What a process took for its records, told to the process that started it.

Needs the standard library only: every peer runs this in an environment of its own.
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Mapping
from pathlib import Path

__all__ = ["Measured", "peak_mebibytes"]


class Measured:
    """CPU time from ``connecting`` on, as clients fetch ahead of the first record; wall time from that record on."""

    def __init__(self) -> None:
        self._cpu_at_start = 0.0
        self._begun: float | None = None

    def connecting(self) -> None:
        """Everything is imported, and nothing fetched."""
        self._cpu_at_start = _cpu_seconds()

    def begin(self) -> None:
        """Records are in hand; the first call counts."""
        if self._begun is None:
            self._begun = time.monotonic()

    def end(self, counts: Mapping[str, int]) -> None:
        """Prints one line of JSON; ``counts`` are the events by kind, to be compared."""
        cpu = _cpu_seconds() - self._cpu_at_start
        wall = 0.0 if self._begun is None else time.monotonic() - self._begun
        told = {"wall_seconds": wall, "cpu_seconds": cpu, "peak_mebibytes": peak_mebibytes(), "counts": dict(counts)}
        print(json.dumps(told))


def peak_mebibytes() -> float:
    """The most memory that this process had at once.

    Not its ``ru_maxrss`` where there is something better: that begins with the peak of the process that started it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split(maxsplit=1)[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
