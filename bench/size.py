"""How much is measured: all that a figure needs, or with ``BENCH_SMOKE=1`` just enough to see that everything runs."""

from __future__ import annotations

import os

__all__ = ["PEAK_MEBIBYTES", "REPEATS", "SMOKE", "scaled"]

SMOKE = os.environ.get("BENCH_SMOKE") == "1"
"""A hundredth of everything, once, and no peers in environments of their own."""

REPEATS = int(os.environ.get("BENCH_REPEATS", "1" if SMOKE else "5"))
"""Of every measurement."""

PEAK_MEBIBYTES = 400
"""That a consumer may have at once, whatever waits for it."""


def scaled(count: int) -> int:
    """Return the count, or a hundredth of it in a smoke."""
    return max(1, count // 100) if SMOKE else count
