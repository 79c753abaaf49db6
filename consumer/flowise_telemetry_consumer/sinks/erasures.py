"""What was erased from a sink, as keyed hashes: whatever comes again later is left out (ADR 0036).

A hash is HMAC-SHA256 of the column and the id, with a key of 16 random bytes that stands in the same row. It tells
nothing to those who do not have the id already, and hashes of two sinks cannot be compared.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import polars as pl

from flowise_telemetry_consumer.errors import SinkUnavailableError
from flowise_telemetry_schemas import ConfigurationError
from flowise_telemetry_schemas.json_mapping import rfc3339

__all__ = [
    "ERASABLE_COLUMNS",
    "ERASURES_TABLE",
    "MAX_LOOKS",
    "ErasedIds",
    "Erasure",
    "Erasures",
    "delete_found",
    "moved_meanwhile",
]

ERASURES_TABLE = "flowise_telemetry_erasures"
"""Table of the hashes, one for all tables of a place, staging tables too. The first erasure makes it."""

ERASABLE_COLUMNS = ("instance_id", "chatflow_id", "event_id")
"""Columns by whose value events can be erased."""

MAX_LOOKS = 10
"""Looks at all tables, of which each but the first follows a promotion during the one before."""

_KEY_BYTES = 16

_Found = TypeVar("_Found", bound=tuple[object, ...])


class Erasure(NamedTuple):
    """One row: the column that holds the id, the key and the hash as hexadecimal digits, and when, RFC 3339."""

    id_column: str
    key: str
    hash: str
    erased_at: str


@dataclass(frozen=True, slots=True)
class ErasedIds:
    """Ids whose events are erased, by the column that holds them: lower case, at least one. See ``of``."""

    by_column: Mapping[str, tuple[str, ...]]
    _texts: tuple[bytes, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_texts", tuple(text.encode() for texts in self.by_column.values() for text in texts))

    @classmethod
    def of(cls, ids: Mapping[str, Collection[str]]) -> ErasedIds:
        """Return ids of ``ERASABLE_COLUMNS``. Raises ``ConfigurationError`` for one that is no UUID, or for none."""
        by_column = {
            column: tuple(sorted({_uuid_of(text, column) for text in ids.get(column, ())}))
            for column in ERASABLE_COLUMNS
        }
        given = {column: texts for column, texts in by_column.items() if texts}
        if not given or ids.keys() - by_column.keys():
            raise ConfigurationError("name what to erase: instance ids, chatflow ids or event ids", argument="ids")
        return cls(given)

    def stand_in(self, data: bytes) -> bool:
        """Tell if one of the ids stands anywhere in these bytes, which are in lower case."""
        return any(text in data for text in self._texts)

    def within(self, columns: Collection[str]) -> Mapping[str, tuple[str, ...]]:
        """Return those of the columns that a table has."""
        return {column: texts for column, texts in self.by_column.items() if column in columns}

    def rows_of(self, frame: pl.DataFrame) -> pl.Series:
        """Tell for each row of a frame if it is to be erased."""
        return _any_of(frame, self.within(frame.columns))

    def missing(self, held: Sequence[Erasure]) -> list[Erasure]:
        """Return the rows that a sink lacks, which holds some: with a key of these, or a new one."""
        now = rfc3339(time.time_ns() // 1_000_000)
        known = {(row.id_column, row.key, row.hash) for row in held}
        keys = list(dict.fromkeys(row.key for row in held)) or [secrets.token_hex(_KEY_BYTES)]
        return [
            Erasure(column, keys[0], _hash(keys[0], column, text), now)
            for column, texts in self.by_column.items()
            for text in texts
            if not any((column, key, _hash(key, column, text)) in known for key in keys)
        ]


@dataclass(frozen=True, slots=True)
class Erasures:
    """The hashes of a sink, to be asked for each batch."""

    rows: tuple[Erasure, ...] = ()
    _by_column: Mapping[str, Mapping[str, set[str]]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_column: dict[str, dict[str, set[str]]] = {}
        for row in self.rows:
            by_column.setdefault(row.id_column, {}).setdefault(row.key, set()).add(row.hash)
        object.__setattr__(self, "_by_column", by_column)

    def keep(self, frames: Mapping[str, pl.DataFrame]) -> tuple[Mapping[str, pl.DataFrame], dict[str, int]]:
        """Return the frames without rows that were erased, none of them empty; and how many those are, by event."""
        if not self.rows:
            return frames, {}
        kept: dict[str, pl.DataFrame] = {}
        erased: dict[str, int] = {}
        for event, frame in frames.items():
            gone = _any_of(
                frame,
                {column: self._among(frame[column], column) for column in self._by_column if column in frame.columns},
            )
            rest = frame.filter(~gone) if gone.any() else frame
            if rest.height:
                kept[event] = rest
            if rest.height < frame.height:
                erased[event] = frame.height - rest.height
        return kept, erased

    def _among(self, ids: pl.Series, column: str) -> list[str]:
        by_key = self._by_column[column]
        return [
            text
            for text in ids.drop_nulls().unique().to_list()
            if any(_hash(key, column, text) in hashes for key, hashes in by_key.items())
        ]


def delete_found(
    look: Callable[[], Iterable[tuple[_Found, int]]],
    delete: Callable[[_Found], Iterator[Mapping[str, int]]],
    shown: str,
) -> Iterator[Mapping[str, int]]:
    """Delete what ``look`` finds, each with the number of its rows; yield the steps of ``delete``.

    Looks again where a step removed fewer: a promotion has exchanged the names of tables meanwhile.
    """
    for _ in range(MAX_LOOKS):
        left = 0
        for found, rows in look():
            left += rows
            for step in delete(found):
                left -= sum(step.values())
                yield step
        if not left:
            return
    raise moved_meanwhile(shown)


def moved_meanwhile(shown: str) -> SinkUnavailableError:
    """Return the error of an erasure whose tables get other names all the time."""
    return SinkUnavailableError(f"{shown}: its tables are promoted again and again; erase once that is over")


def _any_of(frame: pl.DataFrame, ids: Mapping[str, Collection[str]]) -> pl.Series:
    found = pl.Series([False]).new_from_index(0, frame.height)
    for column, texts in ids.items():
        if texts:
            found |= frame[column].str.to_lowercase().is_in([text.lower() for text in texts]).fill_null(value=False)
    return found


def _hash(key: str, column: str, text: str) -> str:
    return hmac.digest(bytes.fromhex(key), f"{column}={text.lower()}".encode(), hashlib.sha256).hex()


def _uuid_of(text: str, column: str) -> str:
    try:
        return str(uuid.UUID(text.strip()))
    except ValueError:
        # Its text may be anything that was pasted.
        raise ConfigurationError("not an id: it is a UUID, as the sink holds it", argument=column) from None
