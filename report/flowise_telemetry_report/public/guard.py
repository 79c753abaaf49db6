"""Counts rounded down so far that no part which is not shown can be had by difference."""

from __future__ import annotations

from collections.abc import Sequence

from flowise_telemetry_report.document import Cell

__all__ = ["guarded", "rounded", "value"]


def rounded(number: int, k: int) -> int:
    """Return a count, rounded down to a multiple of k."""
    return number - number % k


def guarded(whole: int, divided: Sequence[Sequence[int]], k: int) -> int:
    """Return a number of installations that is shown beside the parts of it, of each way in which it is divided.

    Each installation is in one part at least. So a part of fewer than k, which is not shown, has at least what the
    whole has beyond all other parts together; of those a reader knows that they are at most k - 1 more than is shown.
    Where that would tell more than half of what k leaves open, the whole is lowered.
    """
    shown = rounded(whole, k)
    for parts in divided:
        hidden = sum(1 for part in parts if 0 < part < k)
        if not hidden:
            continue
        at_most = sum(rounded(part, k) + k - 1 for part in parts if part > 0) - (k - 1)
        while shown - at_most > k // 2:
            shown -= k
    return max(shown, 0)


def value(cell: Cell) -> int:
    """Return a number of an answer, in which none is missing."""
    return cell if isinstance(cell, int) else 0
