"""Tables of an SQLite sink and the statements that use them. Identifiers come from schemas, never from values."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterable, Iterator

import polars as pl

from flowise_telemetry_consumer.sinks.event_ids import first_of_each
from flowise_telemetry_consumer.sinks.row_values import frame_of_any_rows
from flowise_telemetry_consumer.sinks.rows import default_in_row, rows_frame
from flowise_telemetry_consumer.sinks.sql_file.database import exchange_names, quoted
from flowise_telemetry_schemas import EventSchema, Field
from flowise_telemetry_schemas.json_mapping import rfc3339

__all__ = [
    "DAY",
    "EVER",
    "all_columns",
    "append",
    "columns",
    "count_before",
    "delete_before",
    "exchange",
    "frames_of",
    "insert",
    "make_table",
]

DAY = "substr(occurred_at, 1, 10)"
"""A row's day in UTC."""

EVER = "max"
"""The aggregate that is true if one of many is."""

_DELETED_ROWS = 10_000
"""Rows of one transaction: some 0.1 s, while which others wait."""

_NUMBERS = ("int", "long", "boolean")


def make_table(db: sqlite3.Connection, table: str, schema: EventSchema, held: frozenset[str]) -> None:
    """Create the table of an event, or add the columns beyond those that it has. One without ids has no index."""
    if held:
        for field in schema.fields:
            if field.column not in held:
                db.execute(f"ALTER TABLE {quoted(table)} ADD COLUMN {_declaration(field)}")
        return
    declared = ", ".join(_declaration(field) for field in schema.fields)
    if all(field.column != "event_id" for field in schema.fields):
        db.execute(f"CREATE TABLE {quoted(table)} ({declared})")
        return
    db.execute(f"CREATE TABLE {quoted(table)} ({declared}, PRIMARY KEY (event_id))")
    # SQLite renames tables but not indexes: a fixed name would collide with the index of a later table.
    index = quoted(f"{table}_occurred_at_{secrets.token_hex(4)}")
    db.execute(f"CREATE INDEX {index} ON {quoted(table)} (occurred_at)")


def exchange(db: sqlite3.Connection, one: str, other: str) -> None:
    """Exchange the names of two tables, inside a transaction. Indexes stay with their table."""
    # Otherwise ALTER TABLE rewrites views to follow the old rows to their new name.
    db.execute("PRAGMA legacy_alter_table = ON")
    exchange_names(db, one, other)


def insert(db: sqlite3.Connection, table: str, schema: EventSchema, frame: pl.DataFrame) -> pl.DataFrame:
    """Add the rows whose event is new; return those."""
    # Rowids count up: a new row has one above all that are there.
    ((last,),) = db.execute(f"SELECT coalesce(max(rowid), 0) FROM {quoted(table)}").fetchall()  # noqa: S608 - as below
    # Not INSERT OR IGNORE, which would also skip rows that violate NOT NULL.
    statement = f"{_insertion(table, schema)} ON CONFLICT (event_id) DO NOTHING"
    if db.executemany(statement, rows_frame(schema, frame).rows()).rowcount == frame.height:
        return frame
    new = db.execute(f"SELECT event_id FROM {quoted(table)} WHERE rowid > ?", (last,))  # noqa: S608 - names of the schema
    ids = [event_id for (event_id,) in new]
    return first_of_each(frame.filter(pl.col("event_id").is_in(ids)))


def append(db: sqlite3.Connection, table: str, schema: EventSchema, frame: pl.DataFrame) -> None:
    """Add rows that have no id."""
    db.executemany(_insertion(table, schema), rows_frame(schema, frame).rows())


def _insertion(table: str, schema: EventSchema) -> str:
    marks = ", ".join("?" * len(schema.fields))
    return f"INSERT INTO {quoted(table)} ({_column_names(schema.fields)}) VALUES ({marks})"  # noqa: S608 - names of the schema


def frames_of(db: sqlite3.Connection, table: str, schema: EventSchema, *, batch_rows: int) -> Iterator[pl.DataFrame]:
    """Yield all rows, at most ``batch_rows`` a frame."""
    cursor = db.execute(f"SELECT {_column_names(schema.fields)} FROM {quoted(table)}")  # noqa: S608 - names of the schema
    while rows := cursor.fetchmany(batch_rows):
        yield frame_of_any_rows(schema, rows)


def count_before(db: sqlite3.Connection, table: str, before_ms: int) -> int:
    """Return the number of events that occurred before a time."""
    statement = f"SELECT count(*) FROM {quoted(table)} WHERE occurred_at < ?"  # noqa: S608 - a name of the schema
    ((count,),) = db.execute(statement, (rfc3339(before_ms),)).fetchall()
    return int(count)


def delete_before(db: sqlite3.Connection, table: str, before_ms: int) -> int:
    """Delete some of the events that occurred before a time, the oldest first; return their number, 0 at the end."""
    statement = (
        f"DELETE FROM {quoted(table)} WHERE rowid IN "  # noqa: S608 - a name of the schema
        f"(SELECT rowid FROM {quoted(table)} WHERE occurred_at < ? ORDER BY occurred_at LIMIT {_DELETED_ROWS})"
    )
    return db.execute(statement, (rfc3339(before_ms),)).rowcount


def columns(db: sqlite3.Connection, table: str) -> frozenset[str]:
    """Return the columns of a table; none if there is no such table."""
    rows = db.execute("SELECT name FROM pragma_table_info(?)", (table,))
    return frozenset(name for (name,) in rows)


def all_columns(db: sqlite3.Connection) -> dict[str, frozenset[str]]:
    """Return the columns of each table."""
    tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return {table: columns(db, table) for (table,) in tables}


def _column_names(fields: Iterable[Field]) -> str:
    return ", ".join(quoted(field.column) for field in fields)


def _declaration(field: Field) -> str:
    parts = [quoted(field.column), "INTEGER" if field.kind in _NUMBERS else "TEXT"]
    if not field.nullable:
        parts.append("NOT NULL")
    default = default_in_row(field)
    if default is not None:
        # DDL takes no parameters; the default comes from the schema file.
        literal = str(int(default)) if isinstance(default, int) else "'" + default.replace("'", "''") + "'"
        parts.append(f"DEFAULT {literal}")
    return " ".join(parts)
