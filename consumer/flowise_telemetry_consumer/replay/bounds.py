"""Where a replay begins and ends, as a user says it: an offset, a time, or how long ago."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from flowise_telemetry_schemas import ConfigurationError

__all__ = ["Bound", "require_order", "time_text"]

_AGO = re.compile(r"(\d{1,9})\s*([a-z]+)\s+ago")
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


@dataclass(frozen=True, slots=True)
class Bound:
    """One end of a range: either an ``offset``, of every partition, or a ``time_ms``, of every record.

    ``text`` is how it was said: "2d ago" is the same wish tomorrow, though another time.
    """

    text: str
    offset: int | None = None
    time_ms: int | None = None

    @classmethod
    def parse(cls, text: str, *, now_ms: int, option: str) -> Self:
        """A bound as given. Raises ``ConfigurationError`` that names the option and the forms there are."""
        said = " ".join(text.split())
        if said.isdecimal() and len(said) <= _MAX_OFFSET_DIGITS:
            return cls(said, offset=int(said))
        ago = _AGO.fullmatch(said.lower())
        if ago is not None and ago[2] in _UNIT_MS:
            return cls(said, time_ms=max(0, now_ms - int(ago[1]) * _UNIT_MS[ago[2]]))
        if said.lower() == "now":
            return cls(said, time_ms=now_ms)
        try:
            moment = datetime.fromisoformat(said)
            moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
            return cls(said, time_ms=int(moment.timestamp() * 1000))
        except (ValueError, OverflowError):
            raise ConfigurationError(
                f"{option} {text!r} is no bound: give an offset (1200), a time (2026-01-31T12:00Z) or an age (2d ago)"
            ) from None


def require_order(begin: Bound | None, end: Bound | None) -> None:
    """Raises ``ConfigurationError`` for a range that is empty or reversed."""
    if begin is None or end is None:
        return
    for first, second in ((begin.offset, end.offset), (begin.time_ms, end.time_ms)):
        if first is not None and second is not None and first >= second:
            raise ConfigurationError(f"the range is empty: --from {begin.text} is not before --to {end.text}")


def time_text(time_ms: int) -> str:
    """A time in milliseconds since 1970 for people: RFC 3339 in UTC."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
