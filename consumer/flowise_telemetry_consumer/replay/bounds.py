"""The ends of a replay's range as a user gives them: an offset, a time, or an age."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from flowise_telemetry_schemas import ConfigurationError

__all__ = ["Bound", "moment_ms", "require_order", "time_text"]

_AGO = re.compile(r"(\d{1,9})\s*([a-z]+)\s+ago")
_AGE = re.compile(r"\s*\d+\s*[a-zA-Z]+\s*")
_UNIT_MS = {
    name: milliseconds
    for names, milliseconds in (
        (("s", "sec", "second", "seconds"), 1_000),
        (("m", "min", "minute", "minutes"), 60_000),
        (("h", "hour", "hours"), 3_600_000),
        (("d", "day", "days"), 86_400_000),
        (("w", "week", "weeks"), 604_800_000),
    )
    for name in names
}
_MAX_OFFSET_DIGITS = 18
_EPOCH = datetime.fromtimestamp(0, UTC)
_FIRST_MS, _LAST_MS = (
    (moment.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1) for moment in (datetime.min, datetime.max)
)


@dataclass(frozen=True, slots=True)
class Bound:
    """One end of a range: either an ``offset``, for every partition, or a ``time_ms``, for the records' timestamps.

    ``text`` is the bound as given: "2d ago" is the same request tomorrow, but another time. A time before 1970 is the
    beginning, as no record can be older: brokers take negative times for something else.
    """

    text: str
    offset: int | None = None
    time_ms: int | None = None

    def __post_init__(self) -> None:
        if self.time_ms is not None and self.time_ms < 0:
            object.__setattr__(self, "time_ms", 0)

    @property
    def is_beginning(self) -> bool:
        """True for a time that takes in every record, those without a time included."""
        return self.time_ms == 0

    @classmethod
    def parse(cls, text: str, *, now_ms: int, argument: str) -> Self:
        """Parse a bound. Raises ``ConfigurationError`` with this ``argument`` and the forms that a bound can have."""
        given = " ".join(text.split())
        if given.isdecimal() and len(given) <= _MAX_OFFSET_DIGITS:
            return cls(given, offset=int(given))
        ago = _AGO.fullmatch(given.lower())
        if ago is not None and ago[2] in _UNIT_MS:
            return cls(given, time_ms=now_ms - int(ago[1]) * _UNIT_MS[ago[2]])
        if given.lower() == "now":
            return cls(given, time_ms=now_ms)
        try:
            moment = datetime.fromisoformat(given)
            moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
            return cls(given, time_ms=(moment - _EPOCH) // timedelta(milliseconds=1))
        except (ValueError, OverflowError):
            raise ConfigurationError(
                f"{text!r} is not a bound: give an offset (1200), a time (2026-01-31T12:00Z) or an age (2d ago)",
                argument=argument,
            ) from None


def moment_ms(text: str, *, now_ms: int, argument: str) -> int:
    """Return a time in milliseconds since 1970, given as a date, a time or an age (``90d`` or ``90d ago``).

    Raises ``ConfigurationError`` with this ``argument`` for anything else, and for a time in the future.
    """
    given = f"{text} ago" if _AGE.fullmatch(text) else text
    bound = Bound.parse(given, now_ms=now_ms, argument=argument)
    if bound.time_ms is None:
        raise ConfigurationError(
            f"{text[:40]!r} is not a time: give a date (2026-01-31), a time (2026-01-31T12:00Z) or an age (90d)",
            argument=argument,
        )
    if bound.time_ms > now_ms:
        raise ConfigurationError(f"{text[:40]!r} is in the future", argument=argument)
    return bound.time_ms


def require_order(begin: Bound | None, end: Bound | None) -> None:
    """Raise ``ConfigurationError`` if the range is empty or reversed."""
    if begin is None or end is None:
        return
    for first, second in ((begin.offset, end.offset), (begin.time_ms, end.time_ms)):
        if first is not None and second is not None and first >= second:
            raise ConfigurationError(f"the range is empty: {begin.text} is not before {end.text}", argument="begin")


def time_text(time_ms: int) -> str:
    """Return a time in milliseconds since 1970 as RFC 3339 text in UTC.

    A record may have any time: one that has no such text is shown as the first or the last that has.
    """
    return (
        (_EPOCH + timedelta(milliseconds=max(_FIRST_MS, min(time_ms, _LAST_MS))))
        .isoformat(timespec="seconds")
        .replace("+00:00", "Z")
    )
