"""Conditions that choose dead letters."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from flowise_telemetry_consumer.dead_letter import REASONS
from flowise_telemetry_consumer.dead_letters.stored import UNKNOWN, StoredDeadLetter
from flowise_telemetry_schemas import Catalog, ConfigurationError

__all__ = ["ALL_LETTERS", "LETTER_REASONS", "LetterFilter"]

LETTER_REASONS = (*REASONS, UNKNOWN)
"""The reasons that a letter in the topic can have; ``unknown`` is that of a foreign record."""

_UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_SCHEMA = re.compile(rf"[0-9a-f]{{16}}|[a-z][a-z0-9_]*\.v(0|[1-9][0-9]*)|[0-9]{{1,10}}|{_UUID}|unknown")
_OFFSETS = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterFilter:
    """Conditions on dead letters, all of which hold; an empty one admits every letter.

    ``schemas`` are ``<event>.v<version>``, fingerprints or a registry's ids; ``fields`` are fields with all that is
    inside them. ``partitions`` and ``offsets`` (first and last of each range) are those of the source record.
    ``since_ms`` is the earliest time of failure, in milliseconds since 1970.
    """

    reasons: frozenset[str] = frozenset()
    schemas: frozenset[str] = frozenset()
    events: frozenset[str] = frozenset()
    fields: frozenset[str] = frozenset()
    partitions: frozenset[int] = frozenset()
    offsets: tuple[tuple[int, int], ...] = ()
    since_ms: int | None = None

    @classmethod
    def of(
        cls,
        catalog: Catalog,
        *,
        reasons: Collection[str] = (),
        schemas: Collection[str] = (),
        events: Collection[str] = (),
        fields: Collection[str] = (),
        partitions: Collection[int] = (),
        offsets: Iterable[str] = (),
        since_ms: int | None = None,
    ) -> Self:
        """Return the conditions. Raises ``ConfigurationError``, with its argument, for one that no letter can meet."""
        for reason in reasons:
            if reason not in LETTER_REASONS:
                raise ConfigurationError(
                    f"there is no reason {reason[:40]}; there are: {', '.join(LETTER_REASONS)}", argument="reasons"
                )
        for schema in schemas:
            if _SCHEMA.fullmatch(schema) is None:
                raise ConfigurationError(
                    f"{schema[:40]!r} is not a schema: give tool_created.v1, a fingerprint of 16 digits from 0 to f,"
                    " the id or GUID of a registry, or unknown",
                    argument="schemas",
                )
        for event in events:
            if event not in catalog.names:
                there = ", ".join(catalog.names)
                raise ConfigurationError(f"there is no event {event[:40]}; there are: {there}", argument="events")
        return cls(
            reasons=frozenset(reasons),
            schemas=frozenset(schemas),
            events=frozenset(events),
            fields=frozenset(fields),
            partitions=frozenset(partitions),
            offsets=tuple(_range(text) for text in offsets),
            since_ms=since_ms,
        )

    def __bool__(self) -> bool:
        return self != type(self)()

    def admits(self, letter: StoredDeadLetter) -> bool:
        """Return whether a dead letter meets every condition."""
        source = letter.identity
        return (
            (not self.reasons or letter.reason in self.reasons)
            and (not self.schemas or (letter.schema or UNKNOWN) in self.schemas)
            and (not self.events or letter.event in self.events)
            and (not self.fields or any(_is_within(letter.field, field) for field in self.fields))
            and (not self.partitions or source.partition in self.partitions)
            and (not self.offsets or any(first <= source.offset <= last for first, last in self.offsets))
            and (self.since_ms is None or _failed_at_ms(letter) >= self.since_ms)
        )


ALL_LETTERS = LetterFilter()


def _range(text: str) -> tuple[int, int]:
    found = _OFFSETS.fullmatch("".join(text.split()))
    first, last = (int(found[1]), int(found[2] or found[1])) if found is not None else (1, 0)
    if first > last:
        raise ConfigurationError(
            f"{text[:40]!r} is not a range of offsets: give one (1200), or the first and the last (1200-1300)",
            argument="offsets",
        )
    return first, last


def _is_within(path: str | None, field: str) -> bool:
    """Return whether a path is a field or inside it, as ``flowGraph.nodes[3]`` is inside ``flowGraph``."""
    return path is not None and (path == field or path.startswith((f"{field}.", f"{field}[")))


def _failed_at_ms(letter: StoredDeadLetter) -> int:
    try:
        moment = datetime.fromisoformat(letter.failed_at or "")
    except ValueError:
        return letter.record.timestamp_ms
    return int((moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp() * 1000)
