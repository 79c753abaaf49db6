"""What a process took for its records, told to the process that started it.

Needs the standard library only: every peer runs this in an environment of its own.
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Mapping

__all__ = ["Measured"]


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
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"wall_seconds": wall, "cpu_seconds": cpu, "peak_mebibytes": peak, "counts": dict(counts)}))


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
