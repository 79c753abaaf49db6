"""Erasure on ClickHouse: a table of hashes beside all sets of tables, and mutations in a turn of their own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager

from flowise_telemetry_consumer.sinks.account.tables import STREAMS_TABLE
from flowise_telemetry_consumer.sinks.clickhouse.log import Entry, State
from flowise_telemetry_consumer.sinks.clickhouse.server import Server, name, text
from flowise_telemetry_consumer.sinks.clickhouse.tables import columns_of, visible
from flowise_telemetry_consumer.sinks.clickhouse.turn import Turn
from flowise_telemetry_consumer.sinks.erasures import (
    ERASURES_TABLE,
    MAX_LOOKS,
    ErasedIds,
    Erasure,
    Erasures,
    moved_meanwhile,
)
from flowise_telemetry_consumer.sinks.known_events import KnownEvents
from flowise_telemetry_schemas import EventSchema

__all__ = ["ErasingServer", "ServerErasures"]

REMAINS = (
    "parts of before have them until the server removes these, some minutes after the last query that reads them;"
    " backups and frozen parts keep them"
)

_COLUMNS = Erasure._fields


class ServerErasures:
    """The table of hashes, as one sink sees it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._known = Erasures()
        self._as_of: tuple[object, ...] = ()

    def current(self, *, is_known: bool = False, quick: bool = False) -> Erasures:
        """Return what was erased; ``is_known`` where nobody has had a turn since this was asked last.

        In a turn that holds until the turn ends: hashes are stored in turns.
        """
        if is_known:
            return self._known
        there = f"FROM system.tables WHERE database = {text(self._server.address.database)}"
        if not self._server.rows(f"SELECT 1 {there} AND name = {text(ERASURES_TABLE)}", quick=quick):
            self._known, self._as_of = Erasures(), ()
            return self._known
        (as_of,) = self._server.rows(f"SELECT count(), max(erased_at) FROM {name(ERASURES_TABLE)}", quick=quick)  # noqa: S608 - our table
        if as_of != self._as_of:
            self._known, self._as_of = Erasures(tuple(self.rows())), as_of
        return self._known

    def rows(self) -> list[Erasure]:
        """Return the hashes; the table has to be there."""
        names = ", ".join(name(column) for column in _COLUMNS)
        return [Erasure(*row) for row in self._server.rows(f"SELECT DISTINCT {names} FROM {name(ERASURES_TABLE)}")]  # noqa: S608 - our table

    def add(self, ids: ErasedIds, *, token: str) -> None:
        """Store the hashes that are not there yet, in a turn."""
        declared = ", ".join(f"{name(column)} String" for column in _COLUMNS)
        self._server.execute(
            f"CREATE TABLE IF NOT EXISTS {name(ERASURES_TABLE)} ({declared}) ENGINE = MergeTree "
            f"ORDER BY ({', '.join(name(column) for column in _COLUMNS)}) SETTINGS fsync_after_insert = 1, "
            "fsync_part_directory = 1, non_replicated_deduplication_window = 1000"
        )
        missing = ids.missing(self.rows())
        if missing:
            self._server.insert_rows(ERASURES_TABLE, list(_COLUMNS), [list(row) for row in missing], token=token)


class ErasingServer(ABC):
    """The ``Erasable`` role of a server."""

    _server: Server
    _erasures: ServerErasures
    _schemas: KnownEvents

    def know(self, schemas: Iterable[EventSchema]) -> None:
        """Take these for what the sink may hold, where it is not prepared."""
        self._schemas.tell(schemas)

    def unknown_tables(self) -> list[str]:
        """Return the tables of events that it does not know."""
        held, database = columns_of(self._server), text(self._server.address.database)
        query = f"SELECT name FROM system.tables WHERE database = {database} AND engine LIKE '%MergeTree'"  # noqa: S608 - quoted
        tables = [table for (table,) in self._server.rows(query) if not table.startswith(".inner")]
        return self._schemas.strangers({table: held[table] for table in tables if table in held})

    @abstractmethod
    def _turn(self, claims: Sequence[Entry]) -> AbstractContextManager[Turn]:
        """Take a turn: no batch is written until it ends, and the next sees what it did."""

    @abstractmethod
    def _read_state(self, held: Mapping[str, frozenset[str]]) -> State:
        """Return the state of the log."""

    def erase(self, ids: ErasedIds, *, dry_run: bool = False) -> Iterator[Mapping[str, int]]:
        """Store the hashes in a turn, then have the server write the parts anew that hold such rows.

        That is outside of turns, so that it may take its time beside consumers. A promotion meanwhile gives tables
        other names, so it looks again until none has such a row.
        """
        if not dry_run:
            with self._turn([]) as turn:
                self._erasures.add(ids, token=f"erase:{turn.number}")
        for _ in range(MAX_LOOKS):
            found = False
            # One after the other, so that each is counted under the name that it has then.
            for table, count, wanted in self._tables_with(ids):
                found = True
                if not dry_run:
                    # A lightweight DELETE would only hide them.
                    self._server.execute(f"ALTER TABLE {name(table)} DELETE WHERE {wanted} SETTINGS mutations_sync = 1")
                if count:
                    yield {table: count}
            if dry_run or not found:
                return
        raise moved_meanwhile(self._server.address.shown)

    def erasures(self) -> list[Erasure]:
        """Return the hashes."""
        return list(self._erasures.current().rows)

    def remains(self) -> str:
        """Return what the server does with parts of before."""
        return REMAINS

    def _tables_with(self, ids: ErasedIds) -> Iterator[tuple[str, int, str]]:
        """Yield the tables that hold such rows, live, staging and accounts: name, events that count, and condition."""
        held = columns_of(self._server)
        state = self._read_state(held)
        shown = visible(state.settled, state.annulled)
        for table in sorted(held):
            event, its = table.rpartition("__")[2], ids.within(held[table])
            if not its or (event not in self._schemas.all() and event != STREAMS_TABLE):
                continue
            wanted = " OR ".join(
                f"{name(column)} IN ({', '.join(f'toUUID({text(each)})' for each in texts)})"
                for column, texts in its.items()
            )
            ((there, count),) = self._server.rows(
                f"SELECT count(), countIf({shown}) FROM {name(table)} WHERE {wanted}"  # noqa: S608 - UUIDs
            )
            if there:
                yield table, 0 if event == STREAMS_TABLE else int(count), wanted
