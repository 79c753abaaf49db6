"""Erasure in a database of one file: a table of hashes beside all sets of tables, and rows that go by their ids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from flowise_telemetry_consumer.sinks.account.tables import STREAMS_TABLE
from flowise_telemetry_consumer.sinks.erasures import ERASURES_TABLE, ErasedIds, Erasure, Erasures
from flowise_telemetry_consumer.sinks.sql_file.database import C, Connection, DatabaseFile, quoted

__all__ = ["ErasingTables", "Statements"]

_DELETED_ROWS = 5_000
"""Rows of one transaction: some 0.1 s, while which others wait."""

_IDS_AT_ONCE = 500
"""Parameters of one statement; SQLite before 3.32 takes 999."""

_TABLE = quoted(ERASURES_TABLE)


C_contra = TypeVar("C_contra", bound=Connection, contravariant=True)


class Statements(Protocol[C_contra]):
    """What differs between databases."""

    def columns(self, db: C_contra, table: str) -> frozenset[str]:
        """Return the columns of a table; none if there is no such table."""

    def tables(self, db: C_contra) -> Sequence[str]:
        """Return the names of all tables."""

    def begin(self, db: C_contra) -> None:
        """Have what is deleted over this connection overwritten, if the database can do that."""

    def delete(self, db: C_contra, statement: str) -> int:
        """Run a DELETE; return how many rows it removed."""

    def end(self, db: C_contra) -> None:
        """Take deleted rows out of logs and free space, as far as others do not need them."""


class ErasingTables(Generic[C]):
    """The table of hashes, and what it says of a batch."""

    def __init__(self, database: DatabaseFile[C], statements: Statements[C]) -> None:
        self._database = database
        self._statements = statements
        self._known = Erasures()
        self._as_of: tuple[int, str | None] = (0, None)

    def current(self, db: C) -> Erasures:
        """Return what was erased, inside a transaction that writes."""
        if not self._statements.columns(db, ERASURES_TABLE):
            return Erasures()
        # Rows are only ever added.
        (as_of,) = db.execute(f"SELECT count(*), max(erased_at) FROM {_TABLE}").fetchall()  # noqa: S608 - our table
        if as_of != self._as_of:
            self._known, self._as_of = Erasures(tuple(self._rows(db))), as_of
        return self._known

    def rows(self) -> list[Erasure]:
        """Return the hashes."""
        with self._database.translate_errors(), self._database.reading() as db:
            return self._rows(db) if self._statements.columns(db, ERASURES_TABLE) else []

    def add(self, ids: ErasedIds) -> None:
        """Store the hashes that are not there yet. From now on no writer adds such an event."""
        with self._database.translate_errors():
            db = self._database.connection()
            with self._database.transaction(db):
                if not self._statements.columns(db, ERASURES_TABLE):
                    db.execute(
                        f"CREATE TABLE {_TABLE} (id_column VARCHAR NOT NULL, key VARCHAR NOT NULL, "
                        "hash VARCHAR NOT NULL, erased_at VARCHAR NOT NULL, PRIMARY KEY (id_column, key, hash))"
                    )
                for row in ids.missing(self._rows(db)):
                    marks = ", ".join(_text(value) for value in row)
                    db.execute(f"INSERT INTO {_TABLE} VALUES ({marks})")  # noqa: S608 - digits and names of ours
                self._delete_account(db, ids)
            self._database.require_same_file()

    def delete_account(self, ids: ErasedIds) -> None:
        """Delete what the accounts tell of these installations, once nobody sums their rows up any more."""
        with self._database.translate_errors():
            db = self._database.connection()
            with self._database.transaction(db):
                self._delete_account(db, ids)
            self._database.require_same_file()

    def _delete_account(self, db: C, ids: ErasedIds) -> None:
        for table in self._statements.tables(db):
            if table.rpartition("__")[2] == STREAMS_TABLE:
                for column, texts in ids.within(self._statements.columns(db, table)).items():
                    its = ", ".join(_text(text) for text in texts)
                    db.execute(f"DELETE FROM {quoted(table)} WHERE {quoted(column)} IN ({its})")  # noqa: S608 - UUIDs

    def tables(self, db: C) -> dict[str, frozenset[str]]:
        """Return the columns of each table."""
        return {table: self._statements.columns(db, table) for table in self._statements.tables(db)}

    def found(self, ids: ErasedIds, events: Sequence[str]) -> dict[str, list[str]]:
        """Return the ids of the events that are there, by table, in the state of one moment."""
        found: dict[str, list[str]] = {}
        with self._database.translate_errors(), self._database.reading() as db:
            for table in sorted(self._statements.tables(db)):
                held = self._statements.columns(db, table)
                its = ids.within(held)
                if table.rpartition("__")[2] in events and "event_id" in held and its:
                    event_ids = [
                        event_id
                        for column, texts in its.items()
                        for part in _parts(texts, _IDS_AT_ONCE)
                        for (event_id,) in db.execute(_select(table, column, part)).fetchall()
                    ]
                    found[table] = sorted({str(event_id) for event_id in event_ids})
        return {table: event_ids for table, event_ids in found.items() if event_ids}

    def delete(self, table: str, event_ids: Sequence[str]) -> Iterator[Mapping[str, int]]:
        """Delete rows by the ids of their events, some in each transaction; yield how many.

        These are fewer where a promotion has given the table another name since.
        """
        for step in _parts(event_ids, _DELETED_ROWS):
            with self._database.translate_errors():
                db = self._database.connection()
                self._statements.begin(db)
                count = 0
                with self._database.transaction(db):
                    for part in _parts(step, _IDS_AT_ONCE):
                        its = ", ".join(_text(event_id) for event_id in part)
                        statement = f"DELETE FROM {quoted(table)} WHERE event_id IN ({its})"  # noqa: S608 - UUIDs
                        count += self._statements.delete(db, statement)
                self._database.require_same_file()
            yield {table: count}

    def settle(self) -> None:
        """Take deleted rows out of logs and free space."""
        with self._database.translate_errors():
            self._statements.end(self._database.connection())

    def _rows(self, db: Connection) -> list[Erasure]:
        rows = db.execute(f"SELECT id_column, key, hash, erased_at FROM {_TABLE}").fetchall()  # noqa: S608 - our table
        return [Erasure(*row) for row in rows]


def _select(table: str, column: str, texts: Sequence[str]) -> str:
    its = ", ".join(_text(text) for text in texts)
    return f"SELECT event_id FROM {quoted(table)} WHERE {quoted(column)} IN ({its})"  # noqa: S608 - UUIDs


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _parts(values: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (values[start : start + size] for start in range(0, len(values), size))
