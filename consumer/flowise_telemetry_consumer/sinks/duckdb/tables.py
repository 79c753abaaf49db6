"""Tables of a DuckDB sink and the statements that use them. Identifiers come from schemas, never from values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from flowise_telemetry_consumer.decoding.frames import polars_schema
from flowise_telemetry_consumer.sinks.event_ids import first_of_each, id_ranges
from flowise_telemetry_consumer.sinks.rows import NESTED_KINDS, default_in_row
from flowise_telemetry_consumer.sinks.sql_file.database import exchange_names, quoted
from flowise_telemetry_schemas import EventSchema, Field

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

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

DAY = "CAST(occurred_at AS DATE)"
"""A row's day in UTC."""

EVER = "bool_or"
"""The aggregate that is true if one of many is."""

_TYPES = {
    "string": "VARCHAR",
    "enum": "VARCHAR",  # its symbols may grow with the next version
    "uuid": "UUID",
    "int": "INTEGER",
    "long": "BIGINT",
    "boolean": "BOOLEAN",
    "timestamp": "TIMESTAMP",
}
_DAY_MS = 86_400_000
_BATCH = "flowise_telemetry_batch"


class _Stream:
    """A frame or a result as a bare Arrow stream, which polars and DuckDB exchange without pyarrow."""

    def __init__(self, source: object) -> None:
        self._source = source

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._source.__arrow_c_stream__(requested_schema)  # type: ignore[attr-defined]  # both have it


def make_table(db: DuckDBPyConnection, table: str, schema: EventSchema, held: frozenset[str]) -> None:
    """Create the table of an event, or add the columns beyond those that it has.

    There is no primary key. Its index (an ART) must fit into memory; at 20 million rows it doubles the file and takes
    four times as long to write as looking up a batch's ids in the few row groups that can hold them (ADR 0009).
    """
    if not held:
        declared = ", ".join(_declaration(field) + ("" if field.nullable else " NOT NULL") for field in schema.fields)
        db.execute(f"CREATE TABLE {quoted(table)} ({declared})")
    for field in schema.fields:
        if held and field.column not in held:
            # ADD COLUMN takes no NOT NULL; the default keeps nulls out.
            db.execute(f"ALTER TABLE {quoted(table)} ADD COLUMN {_declaration(field)}")
        if field.column not in held and field.doc:
            doc = field.doc.replace("'", "''")
            db.execute(f"COMMENT ON COLUMN {quoted(table)}.{quoted(field.column)} IS '{doc}'")


def exchange(db: DuckDBPyConnection, one: str, other: str) -> None:
    """Exchange the names of two tables, inside a transaction."""
    exchange_names(db, one, other)


def insert(db: DuckDBPyConnection, table: str, schema: EventSchema, frame: pl.DataFrame) -> pl.DataFrame:
    """Add the rows whose event is new; return those."""
    rows = first_of_each(frame)
    known = _known_ids(db, table, rows["event_id"])
    if known:
        rows = rows.filter(~pl.col("event_id").is_in(known))
    if not rows.is_empty():
        append(db, table, schema, rows)
    return rows


def append(db: DuckDBPyConnection, table: str, schema: EventSchema, frame: pl.DataFrame) -> None:
    """Add rows as they are."""
    names = ", ".join(quoted(field.column) for field in schema.fields)
    _query_with(db, frame, f"INSERT INTO {quoted(table)} ({names}) SELECT {names} FROM {_BATCH}")  # noqa: S608 - names of the schema


def _known_ids(db: DuckDBPyConnection, table: str, event_ids: pl.Series) -> list[str]:
    """Return those of these ids that the table has, spelled as in the batch.

    Separate from the insert: in one statement DuckDB carries all columns of the batch through the join, which takes as
    long as the insert itself.
    """
    # Constant ranges, which DuckDB compares to the smallest and largest id of each row group.
    ranges = id_ranges(event_ids)
    near = " OR ".join("event_id BETWEEN ?::UUID AND ?::UUID" for _ in ranges)
    bounds = [bound for ends in ranges for bound in ends]
    there = f"SELECT event_id AS known FROM {quoted(table)} WHERE {near}"  # noqa: S608 - our table
    # Most batches are newer than all rows, and this query costs a seventh of the join.
    if not db.execute(f"{there} LIMIT 1", bounds).fetchall():
        return []
    statement = f"SELECT event_id FROM {_BATCH} SEMI JOIN ({there}) ON known = event_id::UUID"  # noqa: S608 - as above
    return [event_id for (event_id,) in _query_with(db, event_ids.to_frame(), statement, bounds)]


def _query_with(
    db: DuckDBPyConnection, frame: pl.DataFrame, statement: str, parameters: Sequence[str] = ()
) -> list[tuple[Any, ...]]:
    """Return the rows of a statement that reads the frame as the table ``_BATCH``."""
    db.register(_BATCH, _Stream(frame))
    rows: list[tuple[Any, ...]] = db.execute(statement, parameters).fetchall()
    # Not after a failure: an aborted transaction takes no more statements, and its connection is closed.
    db.unregister(_BATCH)
    return rows


def frames_of(db: DuckDBPyConnection, table: str, schema: EventSchema, *, batch_rows: int) -> Iterator[pl.DataFrame]:
    """Yield all rows in the order in which they were added, at most ``batch_rows`` a frame."""
    ((rows,),) = db.execute(f"SELECT coalesce(max(rowid) + 1, 0) FROM {quoted(table)}").fetchall()  # noqa: S608 - a name of the schema
    for start in range(0, rows, batch_rows):
        frame = _rows_between(db, table, schema, start, min(start + batch_rows, rows))
        if frame.height:
            yield frame


def _rows_between(db: DuckDBPyConnection, table: str, schema: EventSchema, start: int, end: int) -> pl.DataFrame:
    """Return the rows with ``start <= rowid < end``; rowids count rows as they were added."""
    names = ", ".join(quoted(field.column) for field in schema.fields)
    statement = f"SELECT {names} FROM {quoted(table)} WHERE rowid >= {start:d} AND rowid < {end:d}"  # noqa: S608 - as above
    wanted = polars_schema(schema)
    frame = pl.DataFrame(_Stream(db.sql(statement)))
    timestamps = [field.column for field in schema.fields if field.kind == "timestamp"]
    return frame.with_columns(pl.col(timestamps).dt.replace_time_zone("UTC")).cast(dict(wanted))  # type: ignore[arg-type]


def count_before(db: DuckDBPyConnection, table: str, before_ms: int) -> int:
    """Return the number of events that occurred before a time."""
    statement = f"SELECT count(*) FROM {quoted(table)} WHERE occurred_at < epoch_ms(?)"  # noqa: S608 - a name of the schema
    ((count,),) = db.execute(statement, [before_ms]).fetchall()
    return int(count)


def delete_before(db: DuckDBPyConnection, table: str, before_ms: int) -> int:
    """Delete the oldest day of the events that occurred before a time; return their number, 0 at the end.

    A day at a time: there is no index, so each step costs a look through the column.
    """
    ((first_ms,),) = db.execute(f"SELECT epoch_ms(min(occurred_at)) FROM {quoted(table)}").fetchall()  # noqa: S608 - a name of the schema
    if first_ms is None or first_ms >= before_ms:
        return 0
    until_ms = min(before_ms, (first_ms // _DAY_MS + 1) * _DAY_MS)
    statement = f"DELETE FROM {quoted(table)} WHERE occurred_at < epoch_ms(?)"  # noqa: S608 - as above
    ((count,),) = db.execute(statement, [until_ms]).fetchall()
    return int(count)


def columns(db: DuckDBPyConnection, table: str) -> frozenset[str]:
    """Return the columns of a table; none if there is no such table."""
    rows = db.execute(
        "SELECT column_name FROM duckdb_columns() WHERE database_name = current_database() "
        "AND schema_name = current_schema() AND table_name = ?",
        [table],
    )
    return frozenset(name for (name,) in rows.fetchall())


def all_columns(db: DuckDBPyConnection) -> dict[str, frozenset[str]]:
    """Return the columns of each table, for hardly more than those of one cost."""
    held: dict[str, set[str]] = {}
    for table, column in db.execute(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE database_name = current_database() "
        "AND schema_name = current_schema()"
    ).fetchall():
        held.setdefault(table, set()).add(column)
    return {table: frozenset(names) for table, names in held.items()}


def _declaration(field: Field) -> str:
    declared = f"{quoted(field.column)} {_type(field)}"
    default = default_in_row(field)
    if default is None:
        return declared
    literal = str(int(default)) if isinstance(default, int) else "'" + default.replace("'", "''") + "'"
    if field.kind in NESTED_KINDS:
        literal = f"CAST({literal}::JSON AS {_type(field)})"
    return f"{declared} DEFAULT {literal}"


def _type(field: Field) -> str:
    if field.kind == "record":
        return f"STRUCT({', '.join(f'{quoted(inner.column)} {_type(inner)}' for inner in field.fields)})"
    if field.kind == "array" and field.items is not None:
        return f"{_type(field.items)}[]"
    return _TYPES[field.kind]
