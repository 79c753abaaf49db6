"""Rows on their way to files: held back by day until a file of that day is worth writing."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

__all__ = ["MAX_HELD_BYTES", "PART_BYTES", "PART_ROWS", "Parts"]

PART_ROWS = 100_000
"""From so many rows on the rows of a day become a file; it has at most those of one batch more."""

PART_BYTES = 16 * 1_048_576
"""From this size on, in memory, the rows of a day become a file."""

MAX_HELD_BYTES = 64 * 1_048_576
"""How much is held in memory, over all days. Past it the largest days are written, as files of what is there."""


class Parts:
    """The rows of one event. ``write`` takes a day and rows for one more file of it, sorted by id."""

    def __init__(
        self,
        write: Callable[[str, pl.DataFrame], None],
        *,
        part_rows: int = PART_ROWS,
        max_held_bytes: int = MAX_HELD_BYTES,
    ) -> None:
        self._write = write
        self._part_rows = part_rows
        self._max_held_bytes = max_held_bytes
        self._held: dict[str, list[pl.DataFrame]] = {}
        self._rows: dict[str, int] = {}
        self._bytes: dict[str, int] = {}

    def add(self, frame: pl.DataFrame) -> None:
        """Take rows of any days, in any order."""
        for day, rows in _by_day(frame):
            self._held.setdefault(day, []).append(rows)
            self._rows[day] = self._rows.get(day, 0) + rows.height
            self._bytes[day] = self._bytes.get(day, 0) + int(rows.estimated_size())
            if self._rows[day] >= self._part_rows or self._bytes[day] >= PART_BYTES:
                self._put(day)
        if sum(self._bytes.values()) > self._max_held_bytes:
            while sum(self._bytes.values()) > self._max_held_bytes // 2:
                self._put(max(self._bytes, key=lambda day: self._bytes[day]))

    def close(self) -> None:
        """Write what is left."""
        for day in sorted(self._held):
            self._put(day)

    def _put(self, day: str) -> None:
        rows = pl.concat(self._held.pop(day))
        del self._rows[day], self._bytes[day]
        self._write(day, rows.sort("event_id"))


def _by_day(frame: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    days = frame["occurred_at"].dt.date()
    first, last = days.min(), days.max()
    if first == last:
        return [(str(first), frame)] if frame.height else []
    parts = frame.with_columns(days.alias("__day")).partition_by("__day", as_dict=True, include_key=False)
    return [(str(day), part) for (day,), part in sorted(parts.items())]
