"""Ages of events by the monotonic clock, so that a clock that is set while they wait expires none of them."""

from __future__ import annotations

from bisect import bisect_right

from flowise_telemetry.encoding.encoder import Encoded

__all__ = ["Ages", "age_order"]

_TOLERANCE_SECONDS = 1.0
_MAX_STEPS = 1_000


class Ages:
    """Knows when events that are read from disk were accepted, by the monotonic clock.

    A row has the time of the wall clock alone. For this process's own, the difference of the two clocks when the event
    was accepted is remembered, as often as it changes; for those of an ended process it is that of their adoption. At
    most a thousand changes are remembered: beyond that the oldest are taken for the one after them.
    """

    def __init__(self) -> None:
        self._from_number: list[int] = []
        self._differences: list[float] = []
        self._difference_of_others = 0.0

    def note(self, encoded: Encoded) -> None:
        """Take the two times of an event that was just accepted. Events come in the order of their numbers."""
        difference = encoded.accepted_at_ms / 1000 - encoded.accepted_at
        if self._differences and abs(difference - self._differences[-1]) < _TOLERANCE_SECONDS:
            return
        if len(self._differences) >= _MAX_STEPS:
            del self._from_number[0], self._differences[0]
        self._from_number.append(encoded.sequence)
        self._differences.append(difference)

    def adopt(self, *, wall_seconds: float, monotonic_seconds: float) -> None:
        """Take the times by now, for the file of another process that is read from here on."""
        self._difference_of_others = wall_seconds - monotonic_seconds

    def restore(self, encoded: Encoded) -> None:
        """Set ``accepted_at`` of an event that was read from disk."""
        difference = self._difference_of_others
        if encoded.sequence >= 0 and self._differences:
            difference = self._differences[max(0, bisect_right(self._from_number, encoded.sequence) - 1)]
        encoded.accepted_at = encoded.accepted_at_ms / 1000 - difference


def age_order(encoded: Encoded) -> tuple[int, int]:
    """Sort by age: what earlier processes left, by its place on disk, then this one's events, then control records."""
    if encoded.sequence >= 0:
        return 1, encoded.sequence
    return (0, encoded.row) if encoded.row else (2, 0)
