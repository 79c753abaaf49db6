"""Tables in PostgreSQL and the statements that use them. Identifiers come from schemas, never from values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import polars as pl

from flowise_telemetry_consumer.sinks.account.tables import ACCOUNT_TABLES, account_schema
from flowise_telemetry_consumer.sinks.claims import PROGRESS_TABLE
from flowise_telemetry_consumer.sinks.postgres.progress import progress_table
from flowise_telemetry_consumer.sinks.postgres.short_locks import change_briefly
from flowise_telemetry_consumer.sinks.row_values import frame_of_any_rows
from flowise_telemetry_consumer.sinks.rows import default_in_row, rows_frame
from flowise_telemetry_schemas import EventSchema, Field

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.sql import Composed

__all__ = [
    "DAY",
    "INSTANCE",
    "PREPARE_LOCK",
    "SEEDING_TABLE",
    "columns_of",
    "copy_rows",
    "copy_statement",
    "counts_of",
    "create_table",
    "csv_of",
    "frames_of",
    "is_keyed",
    "make_tables",
    "merge_statement",
    "missing_fields",
    "stage_statement",
]

_TYPES = {
    "string": "text",
    "enum": "text",
    "uuid": "uuid",
    "int": "integer",
    "long": "bigint",
    "boolean": "boolean",
    "timestamp": "timestamptz",
    "array": "jsonb",
    "record": "jsonb",
}
_READ_AS = {
    "uuid": "{}::text",
    "array": "{}::text",
    "record": "{}::text",
    "timestamp": """to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')""",
}
DAY = "(occurred_at AT TIME ZONE 'UTC')::date"
"""A row's day in UTC."""

INSTANCE = "min(instance_id::text)::uuid"
"""PostgreSQL before 18 orders no UUIDs."""

_COPY_ROWS = 10_000
_QUOTE = "'"
"""Quote of the CSV. Graphs are JSON, full of double quotes, which CSV would have to double: a quarter of the client's
time."""

SEEDING_TABLE = "flowise_telemetry_seeding"
"""Table of the streams' account while rows from before it are summed up: ``seeding``."""

PREPARE_LOCK = 0x666C6F7769736574
"""Advisory lock held while tables are created: concurrent CREATE IF NOT EXISTS collide. The number is arbitrary."""


def make_tables(
    connection: Connection[Any],
    schema_name: str,
    schemas: Iterable[EventSchema],
    *,
    shown: str,
    timeout_seconds: float,
) -> None:
    """Create what is missing; if nothing is, a role that may only read and write is enough.

    Columns are added to tables that others use within ``timeout_seconds``, without anyone queueing behind that.
    """
    schemas = (*schemas, *map(account_schema, ACCOUNT_TABLES))
    has_progress = bool(columns_of(connection, schema_name, PROGRESS_TABLE))
    if has_progress and not any(missing_fields(connection, schema_name, schema) for schema in schemas):
        return
    from psycopg.sql import SQL, Identifier

    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (PREPARE_LOCK,))
        # IF NOT EXISTS would require the right to create even where there is nothing to do.
        there = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema_name,)).fetchone()
        if there is None:
            connection.execute(SQL("CREATE SCHEMA {}").format(Identifier(schema_name)))
        if not columns_of(connection, schema_name, PROGRESS_TABLE):
            connection.execute(progress_table(schema_name))
        lacking = [(schema, missing_fields(connection, schema_name, schema)) for schema in schemas]
        for schema, missing in lacking:
            if len(missing) == len(schema.fields):
                create_table(connection, schema_name, schema)
        partly = [(schema, missing) for schema, missing in lacking if 0 < len(missing) < len(schema.fields)]
        if partly:
            change_briefly(
                connection,
                partial(_add_columns, connection, schema_name, partly),
                shown=shown,
                timeout_seconds=timeout_seconds,
                then="let them end",
            )


def create_table(connection: Connection[Any], schema_name: str, schema: EventSchema, *, name: str = "") -> None:
    """Create the table of an event or of the account, under its own name or another."""
    from psycopg.sql import SQL, Identifier

    name = name or schema.event
    table = Identifier(schema_name, name)
    columns = SQL(", ").join(_declaration(field) for field in schema.fields)
    key = SQL(", PRIMARY KEY (event_id)" if is_keyed(schema) else "")
    connection.execute(SQL("CREATE TABLE {} ({}{})").format(table, columns, key))
    if is_keyed(schema):
        connection.execute(SQL("CREATE INDEX ON {} (occurred_at)").format(table))
    _comment(connection, schema_name, name, schema.fields)


def _add_columns(
    connection: Connection[Any], schema_name: str, partly: Iterable[tuple[EventSchema, list[Field]]]
) -> None:
    from psycopg.sql import SQL, Identifier

    # In the order in which writers lock.
    for schema, missing in sorted(partly, key=lambda each: each[0].event):
        added = SQL(", ").join(SQL("ADD COLUMN {}").format(_declaration(field)) for field in missing)
        connection.execute(SQL("ALTER TABLE {} {}").format(Identifier(schema_name, schema.event), added))
        _comment(connection, schema_name, schema.event, missing)


def _comment(connection: Connection[Any], schema_name: str, event: str, fields: Iterable[Field]) -> None:
    from psycopg.sql import SQL, Identifier, Literal

    for field in fields:
        column = Identifier(schema_name, event, field.column)
        connection.execute(SQL("COMMENT ON COLUMN {} IS {}").format(column, Literal(field.doc)))


def is_keyed(schema: EventSchema) -> bool:
    """Return whether rows have an id, so that one is added once."""
    return any(field.column == "event_id" for field in schema.fields)


def columns_of(connection: Connection[Any], schema_name: str, table: str) -> frozenset[str]:
    """Return the columns of a table; none if there is no such table."""
    rows = connection.execute(
        "SELECT attname FROM pg_attribute "
        "JOIN pg_class c ON c.oid = attrelid JOIN pg_namespace n ON n.oid = relnamespace "
        "WHERE nspname = %s AND relname = %s AND attnum > 0 AND NOT attisdropped",
        (schema_name, table),
    )
    return frozenset(name for (name,) in rows)


def counts_of(connection: Connection[Any], schema_name: str, events: Iterable[str]) -> dict[str, int]:
    """Return the number of rows of each table that is there."""
    from psycopg.sql import SQL, Identifier

    counts: dict[str, int] = {}
    for event in events:
        if columns_of(connection, schema_name, event):
            table = Identifier(schema_name, event)
            row = connection.execute(SQL("SELECT count(*) FROM {}").format(table)).fetchone()
            counts[event] = row[0] if row else 0
    return counts


def stage_statement(schema_name: str, schema: EventSchema) -> Composed:
    """Return the statement that creates the session's temporary table for a batch, emptied by every commit."""
    from psycopg.sql import SQL, Identifier

    return SQL("CREATE TEMP TABLE IF NOT EXISTS {} ON COMMIT DELETE ROWS AS SELECT {} FROM {} WITH NO DATA").format(
        _stage(schema), _names(schema), Identifier(schema_name, schema.event)
    )


def copy_rows(connection: Connection[Any], schema: EventSchema, frame: pl.DataFrame, *, into: str | None = None) -> int:
    """Copy rows into the temporary table, or into the event's table in schema ``into``; return how many it took.

    A trigger of others may skip some.
    """
    with connection.cursor() as cursor:
        with cursor.copy(copy_statement(schema, into)) as copy:
            for part in rows_frame(schema, frame).iter_slices(_COPY_ROWS):
                copy.write(csv_of(part))
        return cursor.rowcount


def copy_statement(schema: EventSchema, into: str | None = None) -> Composed:
    """Return the COPY that takes ``csv_of`` rows, into the temporary table or the event's table in schema ``into``."""
    from psycopg.sql import SQL, Identifier, Literal

    table = _stage(schema) if into is None else Identifier(into, schema.event)
    return SQL("COPY {} ({}) FROM STDIN (FORMAT csv, QUOTE {}, ENCODING 'UTF8')").format(
        table, _names(schema), Literal(_QUOTE)
    )


def csv_of(rows: pl.DataFrame) -> str:
    """Return rows as CSV: null is nothing, an empty text is quoted."""
    return rows.write_csv(include_header=False, quote_style="non_numeric", quote_char=_QUOTE, null_value="")


def merge_statement(schema_name: str, schema: EventSchema) -> Composed:
    """Return the statement that merges new rows and returns their ids.

    In key order: two writers of the same events cannot deadlock. Rows without ids are added as they are.
    """
    from psycopg.sql import SQL, Identifier

    ordered = " ORDER BY event_id ON CONFLICT (event_id) DO NOTHING RETURNING event_id::text"
    return SQL("INSERT INTO {target} ({names}) SELECT {names} FROM {stage}{ordered}").format(
        ordered=SQL(ordered if is_keyed(schema) else ""),
        target=Identifier(schema_name, schema.event),
        names=_names(schema),
        stage=_stage(schema),
    )


def frames_of(
    connection: Connection[Any], schema_name: str, schema: EventSchema, batch_rows: int
) -> Iterator[pl.DataFrame]:
    """Yield the rows of a table, inside a transaction whose state they are of."""
    with connection.cursor(name="read") as cursor:
        cursor.execute(_select_statement(schema_name, schema))
        while rows := cursor.fetchmany(batch_rows):
            yield frame_of_any_rows(schema, rows)


def _select_statement(schema_name: str, schema: EventSchema) -> Composed:
    """Return the statement that reads a table as rows in the sense of ``sinks.rows``."""
    from psycopg.sql import SQL, Identifier

    columns = SQL(", ").join(
        SQL(_READ_AS.get(field.kind, "{}")).format(Identifier(field.column)) for field in schema.fields
    )
    return SQL("SELECT {} FROM {}").format(columns, Identifier(schema_name, schema.event))


def missing_fields(connection: Connection[Any], schema_name: str, schema: EventSchema) -> list[Field]:
    """Return the fields of a schema that its table has no column for."""
    held = columns_of(connection, schema_name, schema.event)
    return [field for field in schema.fields if field.column not in held]


def _declaration(field: Field) -> Composed:
    from psycopg.sql import SQL, Identifier, Literal

    parts = [SQL("{} {}").format(Identifier(field.column), SQL(_TYPES[field.kind]))]
    if not field.nullable:
        parts.append(SQL("NOT NULL").format())
    default = default_in_row(field)
    if default is not None:
        parts.append(SQL("DEFAULT {}").format(Literal(default)))
    return SQL(" ").join(parts)


def _names(schema: EventSchema) -> Composed:
    from psycopg.sql import SQL, Identifier

    return SQL(", ").join(Identifier(field.column) for field in schema.fields)


def _stage(schema: EventSchema) -> Any:
    from psycopg.sql import Identifier

    # pg_temp: so that no other schema is meant. The version, because a newer one has other columns.
    return Identifier("pg_temp", f"stage_{schema.event}_v{schema.version}")
