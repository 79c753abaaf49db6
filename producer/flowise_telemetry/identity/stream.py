"""Streams: the events that one process numbers in one calendar month."""

from __future__ import annotations

import time
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

__all__ = ["Stream", "StreamCounts"]

_DAY_SECONDS = 86_400
_LONGER_THAN_A_MONTH_SECONDS = 32 * _DAY_SECONDS


class StreamCounts(NamedTuple):
    """What became of a stream's events: ``numbered`` = delivered + dropped + ``waiting``; ``dropped`` is by reason.

    ``withheld`` counts the values that are not in events that were encoded, by event, path of the field, and rule.
    """

    numbered: int
    waiting: int
    dropped: dict[str, int]
    withheld: dict[tuple[str, str, str], int]


class Stream:
    """One stream: its id, and the counts that it tells of itself.

    Each month, in UTC, is a stream of its own: one id in two months would join the installation's ids of both. Where
    the clock steps back over the end of a month, that is a new stream too, so that each has one run of numbers:
    ``first`` is the number, in the process, of its event with the sequence 0, ``end`` that of the next stream's.

    Plain attributes: the app's threads count what they refuse under the queue's lock, the sender's thread the rest.
    """

    __slots__ = (
        "delivered",
        "dropped",
        "end",
        "first",
        "from_ms",
        "id",
        "previous",
        "refused_full",
        "refused_invalid",
        "until_ms",
        "withheld",
    )

    def __init__(self, unix_ms: int | None = None) -> None:
        self.from_ms, self.until_ms = (0, 0) if unix_ms is None else _month_of(unix_ms)
        self.id = ""
        """Empty until the sender needs it."""
        self.first = 0
        self.end: int | None = None
        self.previous: Stream | None = None
        self.refused_full = 0
        self.refused_invalid = 0
        self.delivered = 0
        self.dropped: dict[StrEnum, int] = {}
        self.withheld: dict[tuple[str, str, str], int] = {}

    def drop(self, reason: StrEnum) -> None:
        """Count an event that was accepted, and dropped. For the sender's thread."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1

    def withhold(self, event: str, values: Iterable[tuple[str, str]]) -> None:
        """Count values that are not in an event, by field and rule. For the sender's thread."""
        for path, rule in values:
            self.withheld[event, path, rule] = self.withheld.get((event, path, rule), 0) + 1

    def counts(self, numbered_in_process: int) -> StreamCounts:
        """Return the counts by now."""
        dropped = {reason.value: count for reason, count in self.dropped.items()}
        for reason, count in (("queue_full", self.refused_full), ("invalid", self.refused_invalid)):
            if count:
                dropped[reason] = dropped.get(reason, 0) + count
        numbered = (numbered_in_process if self.end is None else self.end) - self.first
        waiting = max(0, numbered - self.delivered - sum(dropped.values()))
        return StreamCounts(numbered, waiting, dropped, dict(self.withheld))


def _month_of(unix_ms: int) -> tuple[int, int]:
    """Return the first millisecond of the calendar month, in UTC, that contains this time, and of the next one."""
    start = _first_second(unix_ms // 1000)
    return start * 1000, _first_second(start + _LONGER_THAN_A_MONTH_SECONDS) * 1000


def _first_second(unix_seconds: int) -> int:
    # Without the modules datetime and calendar, which the app's first call would wait for.
    return unix_seconds - unix_seconds % _DAY_SECONDS - (time.gmtime(unix_seconds).tm_mday - 1) * _DAY_SECONDS
