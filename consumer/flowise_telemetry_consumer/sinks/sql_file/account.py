"""The account's tables in a database of one file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Generic

import polars as pl

from flowise_telemetry_consumer.sinks.account.port import Merged
from flowise_telemetry_consumer.sinks.account.rows import stream_rows
from flowise_telemetry_consumer.sinks.account.seeding import merged_columns, merged_select, seed_statements
from flowise_telemetry_consumer.sinks.account.tables import (
    ACCOUNT_TABLES,
    LETTERS_TABLE,
    STREAMS_TABLE,
    account_schema,
    held_part,
)
from flowise_telemetry_consumer.sinks.sql_file.database import C, quoted
from flowise_telemetry_consumer.sinks.sql_file.event_tables import EventTables

__all__ = ["AccountTables"]

_MERGED = "flowise_telemetry_merged"


class AccountTables(Generic[C]):
    """Both tables of one set; all but ``read`` runs inside a transaction."""

    def __init__(self, tables: EventTables[C], prefix: str) -> None:
        self._tables = tables
        self._prefix = prefix

    def make(self, db: C, events: Iterable[str]) -> None:
        """Create what is missing. Rows that these events have by then are summed up, once."""
        its = self._tables.all_columns(db)
        for table in ACCOUNT_TABLES:
            name = self._prefix + table
            self._tables.make_table(db, name, account_schema(table), its.get(name, frozenset()))
        if self._prefix + STREAMS_TABLE not in its:
            held = {event: its.get(self._prefix + event, frozenset()) for event in events}
            there = [(event, quoted(self._prefix + event)) for event in sorted(held) if held[event]]
            into = quoted(self._prefix + STREAMS_TABLE)
            for statement in seed_statements(
                into, there, day=self._tables.DAY, ever=self._tables.EVER, held=held.__getitem__
            ):
                db.execute(statement)

    def add(self, db: C, added: Mapping[str, pl.DataFrame], letters: pl.DataFrame | None) -> None:
        """Account for the rows that a batch added, and for dead letters that were not accounted for yet."""
        streams = stream_rows(added)
        if streams.height:
            self._tables.append(db, self._prefix + STREAMS_TABLE, account_schema(STREAMS_TABLE), streams)
        if letters is not None and letters.height:
            self._tables.insert(db, self._prefix + LETTERS_TABLE, account_schema(LETTERS_TABLE), letters)

    def merge(self, db: C) -> Merged:
        """Merge the rows of streams into one for each stream and day."""
        table = quoted(self._prefix + STREAMS_TABLE)
        ((before,),) = db.execute(f"SELECT count(*) FROM {table}").fetchall()  # noqa: S608 - our table
        columns = merged_columns()
        rows = merged_select(table, day=self._tables.DAY, ever=self._tables.EVER)
        db.execute(f"CREATE TEMP TABLE {_MERGED} AS SELECT {columns} FROM {table} LIMIT 0")  # noqa: S608 - our tables
        db.execute(f"INSERT INTO {_MERGED} {rows}")
        db.execute(f"DELETE FROM {table}")  # noqa: S608 - our table
        db.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {_MERGED}")  # noqa: S608 - our tables
        db.execute(f"DROP TABLE {_MERGED}")
        ((after,),) = db.execute(f"SELECT count(*) FROM {table}").fetchall()  # noqa: S608 - our table
        return Merged(before, after)

    def read(self, db: C, table: str, *, batch_rows: int) -> Iterator[pl.DataFrame]:
        """Yield the rows of one table; none if it is not there."""
        name = self._prefix + table
        if held := self._tables.columns(db, name):
            yield from self._tables.frames_of(db, name, held_part(table, held), batch_rows=batch_rows)
