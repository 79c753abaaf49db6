"""Ids of the newest events of each table, remembered as long as nobody else writes: most batches need no question."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import NamedTuple

import polars as pl

from flowise_telemetry_consumer.sinks.clickhouse.log import State
from flowise_telemetry_consumer.sinks.clickhouse.server import Server
from flowise_telemetry_consumer.sinks.clickhouse.tables import ids_from, known_ids

__all__ = ["RecentIds", "as_bytes"]

_MOST_IDS = 250_000
"""Ids of a table, of 16 bytes."""

_SMALL_PART = 1_000
"""Ids; a part with fewer takes up the next ones too."""

_NO_IDS = pl.Series("event_id", [], pl.Binary())


class _Part(NamedTuple):
    """Ids that came together, and the highest of them: most batches are above those of all before."""

    highest: bytes
    ids: pl.Series


class RecentIds:
    """For each table a lowest id and all ids that it holds from there on, as of our last batch."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._lowest: dict[str, bytes] = {}
        self._held: dict[str, list[_Part]] = {}
        self._as_of: tuple[int, int] | None = None

    def is_current(self, state: State) -> bool:
        """Tell if nobody else has written since our last batch, and that one is whole."""
        return state.promotion is None and self._as_of == _moment(state)

    def known(self, state: State, ids: Mapping[str, pl.Series], condition: str) -> dict[str, pl.Series]:
        """Return for each table those ids (and others), as 16 bytes, that it holds in rows under the condition."""
        is_current = self.is_current(state)
        # Until our batch is whole: a failed one has added ids that are not there.
        self._as_of = None
        if not is_current:
            self._lowest, self._held = {}, {}
            return known_ids(self._server, ids, condition)
        lowest = {table: uuid.UUID(str(its.min())).bytes for table, its in ids.items() if len(its)}
        for table, low in lowest.items():
            if table not in self._lowest:
                held = ids_from(self._server, table, low, condition, limit=_MOST_IDS)
                if held is not None:
                    self._lowest[table], self._held[table] = low, _parts(held)
        known = {
            table: pl.concat([_NO_IDS, *(part.ids for part in self._held[table] if part.highest >= low)])
            for table, low in lowest.items()
            if table in self._lowest and low >= self._lowest[table]
        }
        return known | known_ids(self._server, {t: its for t, its in ids.items() if t not in known}, condition)

    def add(self, table: str, added: pl.Series) -> None:
        """Remember ids, as 16 bytes, that were inserted."""
        if table not in self._lowest:
            return
        held = self._held[table]
        if held and len(held[-1].ids) < _SMALL_PART:
            added = pl.concat([held.pop().ids, added], rechunk=True)
        held += _parts(added)
        if sum(len(part.ids) for part in held) > _MOST_IDS:
            held.sort(key=lambda part: part.highest)
            while sum(len(part.ids) for part in held) > _MOST_IDS // 2:
                self._lowest[table] = max(held.pop(0).highest + b"\0", self._lowest[table])

    def end(self, number: int, state: State) -> None:
        """Take note that our batch of that number is whole."""
        self._as_of = (number, state.promotions)


def as_bytes(event_ids: Mapping[str, pl.Series]) -> dict[str, pl.Series]:
    """Return the ids of each table as 16 bytes, which sort as their text does."""
    whole = pl.concat([_NO_IDS.cast(pl.String()), *event_ids.values()])
    whole = whole.str.replace_all("-", "", literal=True).str.decode("hex")
    converted: dict[str, pl.Series] = {}
    first = 0
    for table, ids in event_ids.items():
        converted[table] = whole.slice(first, len(ids))
        first += len(ids)
    return converted


def _parts(ids: pl.Series) -> list[_Part]:
    return [_Part(highest, ids)] if isinstance(highest := ids.max(), bytes) else []


def _moment(state: State) -> tuple[int, int]:
    return max(state.committed, default=0), state.promotions
