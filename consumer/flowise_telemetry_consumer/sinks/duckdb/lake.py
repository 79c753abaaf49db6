"""A Delta lake in a folder, shown to a DuckDB in memory: its tables as of the last batch, and the same views."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.sinks.account.seeding import merged_columns
from flowise_telemetry_consumer.sinks.account.tables import (
    ACCOUNT_TABLES,
    LETTERS_TABLE,
    STREAMS_TABLE,
    account_schema,
    dropped_columns,
    filed_streams,
)
from flowise_telemetry_consumer.sinks.delta.rows import DATE
from flowise_telemetry_consumer.sinks.duckdb import views
from flowise_telemetry_consumer.sinks.duckdb.tables import all_columns, columns, make_table
from flowise_telemetry_consumer.sinks.local_files import file_of
from flowise_telemetry_consumer.sinks.rows import NESTED_KINDS, default_in_row, newest
from flowise_telemetry_consumer.sinks.sql_file.database import quoted
from flowise_telemetry_consumer.sinks.views import due_views
from flowise_telemetry_schemas import EventSchema, Field, catalog
from flowise_telemetry_schemas.envelope import STREAM_STATE

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["LAKE_DIALECT", "open_lake", "show_lake"]

LAKE_DIALECT = replace(views.DIALECT, types={**views.DIALECT.types, "uuid": "VARCHAR"}, day=f"e.{DATE}")
"""A lake's ids are text, and its days those of its folders: a condition on them leaves files out."""


def open_lake(url: str, schemas: Iterable[EventSchema] = ()) -> DuckDBPyConnection:
    """Return a DuckDB in memory that shows the lake of a ``delta:///`` URL as ``show_lake`` does; close it."""
    import duckdb

    db = duckdb.connect(":memory:")
    try:
        db.execute("SET TimeZone = 'UTC'")
        show_lake(db, url, schemas)
    except BaseException:
        db.close()
        raise
    return db


def show_lake(db: DuckDBPyConnection, url: str, schemas: Iterable[EventSchema] = ()) -> None:
    """Make views of the tables and for analysts in a database whose time zone is UTC; rows are read by each query.

    ``schemas`` are those that the package ships, unless others are given. What is shown stays as of this moment, for
    a week at least: ``compact`` removes no younger files. Raises ``SinkError`` for a lake that is not in a folder.
    """
    from flowise_telemetry_consumer.sinks.delta import open_delta

    if not url.startswith("delta:"):
        place = url.partition("?")[0]
        raise SinkError(
            f"{place}: DuckDB reads a lake in a folder alone, as it would have to load an extension for any other; "
            f"copy the lake into one: flowise-telemetry replay --source {place} --sink delta:///folder"
        )
    known = newest(schemas) or newest(catalog())
    root = file_of(url.rstrip("/"), "delta")
    files = open_delta(url).snapshot(events=[*known, *ACCOUNT_TABLES]).files()
    for event, schema in known.items():
        if event in files:
            _show_table(db, event, schema, _absolute(root, files[event]))
    _show_table(db, LETTERS_TABLE, account_schema(LETTERS_TABLE), _absolute(root, files.get(LETTERS_TABLE, [])))
    filed = f"{STREAMS_TABLE}_filed"
    _show_table(db, filed, filed_streams(by_event=True), _absolute(root, files.get(STREAMS_TABLE, [])))
    _show(db, STREAMS_TABLE, _streams([event for event in known if event in files], filed, db))
    held = all_columns(db)
    for due in due_views(known.values(), {}, lambda table: held.get(table, frozenset()), LAKE_DIALECT, quoted):
        views.replace(db, due)


def _absolute(root: Path, files: Iterable[str]) -> list[str]:
    return [str((root / file).resolve()) for file in files]


def _show(db: DuckDBPyConnection, name: str, query: str) -> None:
    db.execute(f"CREATE OR REPLACE VIEW {quoted(name)} AS {query}")


def _show_table(db: DuckDBPyConnection, name: str, schema: EventSchema, files: Sequence[str]) -> None:
    """Show the rows of files under the columns of a schema; a table without files is an empty one."""
    if not files:
        make_table(db, name, schema, frozenset())
        for column in (field.column for field in schema.fields if field.kind == "uuid"):
            db.execute(f"ALTER TABLE {quoted(name)} ALTER COLUMN {quoted(column)} TYPE VARCHAR")
        db.execute(f"ALTER TABLE {quoted(name)} ADD COLUMN {DATE} DATE")
        return
    in_folders = all(f"/{DATE}=" in file for file in files)
    day = DATE if in_folders else "CAST(occurred_at AS DATE)"
    listed = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
    partitions = (
        f"hive_partitioning = true, hive_types = {{'{DATE}': DATE}}" if in_folders else "hive_partitioning = false"
    )
    rows = f"read_parquet([{listed}], union_by_name = true, {partitions})"
    there = {column for column, *_ in db.execute(f"DESCRIBE SELECT * FROM {rows}").fetchall()}  # noqa: S608 - our files
    shown = ", ".join(_column(field, there) for field in schema.fields)
    _show(db, name, f"SELECT {shown}, {day} AS {DATE} FROM {rows}")  # noqa: S608 - names of schemas


def _column(field: Field, there: set[str]) -> str:
    """Return a column, with the field's default in files that are older than it."""
    name = quoted(field.column)
    value = name if field.column in there else "NULL"
    if field.kind == "timestamp":
        value = f"make_timestamp(epoch_us({value}))"  # a cast asks for the session's time zone, row by row
    default = default_in_row(field)
    if isinstance(default, str) and field.kind not in NESTED_KINDS:
        literal = default.replace("'", "''")
        value = f"coalesce({value}, '{literal}')"
    elif isinstance(default, int):
        value = f"coalesce({value}, {str(bool(default)).lower() if field.kind == 'boolean' else int(default)})"
    return f"{value} AS {name}"


def _streams(events: Sequence[str], filed: str, db: DuckDBPyConnection) -> str:
    """Return the query of the streams' account: sums of the rows that are there, or of those that were pruned.

    Of an event, stream and day the larger sum counts (``sinks.delta.account``); days of which nothing was pruned are
    summed as one, which takes far less memory.
    """
    drops = dropped_columns()
    names = merged_columns()
    arms = [f"SELECT event, {names} FROM {quoted(filed)}"]  # noqa: S608 - names of schemas
    pruned = db.execute(f"SELECT DISTINCT CAST(occurred_at AS DATE) FROM {quoted(filed)}").fetchall()  # noqa: S608 - as above
    days = ", ".join(f"DATE '{its}'" for (its,) in pruned)
    day = f"CASE WHEN {DATE} IN ({days}) THEN {DATE} END" if days else "true"
    for event in events:
        sums: Mapping[str, str] = {"highest": "max(sequence)", "added": "count(*)"}
        if event == STREAM_STATE:
            held = columns(db, event)
            told = {"numbered": "max(numbered)", "settled": "max(numbered - waiting)", "ended": "bool_or(ended)"}
            sums = {**told, **{column: f"max({column})" for column in drops if column in held}}
        shown = ", ".join(_summed(field, sums) for field in account_schema(STREAMS_TABLE).fields)
        arms.append(f"SELECT '{event}' AS event, {shown} FROM {quoted(event)} GROUP BY stream_id, {day}")  # noqa: S608 - as above
    larger = ", ".join(
        f"{_LARGER.get(field.column, 'max')}(r.{field.column}) AS {field.column}"
        for field in account_schema(STREAMS_TABLE).fields
        if field.column != "stream_id"
    )
    rows = " UNION ALL ".join(arms)
    of_event = "r.event, r.stream_id, CAST(r.occurred_at AS DATE)"
    return f"SELECT r.stream_id AS stream_id, {larger} FROM ({rows}) AS r GROUP BY {of_event}"  # noqa: S608 - as above


_LARGER = {"first_at": "min", "ended": "bool_or"}
_EXTREMES = {"stream_id": "stream_id", "instance_id": "max(instance_id)", "first_at": "min(occurred_at)"}


def _summed(field: Field, sums: Mapping[str, str]) -> str:
    extremes = {**_EXTREMES, "occurred_at": "max(occurred_at)", **sums}
    missing = {"highest": "CAST(NULL AS BIGINT)", "ended": "false"}
    return f"{extremes.get(field.column, missing.get(field.column, '0'))} AS {quoted(field.column)}"
