"""Which schemas hold staging tables: a table of ours in each says of which schema they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from flowise_telemetry_consumer.sinks.claims import PROGRESS_TABLE
from flowise_telemetry_consumer.sinks.known_events import KnownEvents
from flowise_telemetry_consumer.sinks.postgres.tables import PREPARE_LOCK, columns_of

if TYPE_CHECKING:
    from psycopg import Connection

    from flowise_telemetry_consumer.sinks.postgres.address import Address

__all__ = ["StagingSchemas", "mark_staging", "staging_schemas", "unknown_tables"]

_TABLE = "flowise_telemetry_staging"
"""Its one row names the schema of the live tables. ``promote`` leaves it where it is."""


class StagingSchemas(NamedTuple):
    """Schemas with tables of ours that are named as staging tables are: such, and those of other sinks."""

    ours: list[str]
    others: list[str]


def mark_staging(connection: Connection[Any], address: Address) -> None:
    """Mark the schema of staging tables, inside a transaction; leave one that this role may not add to."""
    from psycopg.sql import SQL, Identifier

    if not address.live or columns_of(connection, address.schema, _TABLE):
        return
    row = connection.execute(
        "SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = %s", (address.schema,)
    ).fetchone()
    if row is None or not row[0]:
        return
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (PREPARE_LOCK,))
    if not columns_of(connection, address.schema, _TABLE):
        table = Identifier(address.schema, _TABLE)
        connection.execute(SQL("CREATE TABLE {} (live text NOT NULL)").format(table))
        connection.execute(SQL("INSERT INTO {} VALUES (%s)").format(table), (address.live,))


def staging_schemas(connection: Connection[Any], schema_name: str) -> StagingSchemas:
    """Return the schemas whose names begin with that of the live one: another sink's may, too."""
    from psycopg.sql import SQL, Identifier

    rows = connection.execute(
        "SELECT nspname FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = %s "
        "WHERE starts_with(nspname, %s) ORDER BY nspname",
        (PROGRESS_TABLE, f"{schema_name}_"),
    ).fetchall()
    found = StagingSchemas([], [])
    for (name,) in rows:
        live: list[tuple[str]] = []
        if columns_of(connection, name, _TABLE):
            live = connection.execute(SQL("SELECT live FROM {}").format(Identifier(name, _TABLE))).fetchall()
        (found.ours if (schema_name,) in live else found.others).append(name)
    return found


def unknown_tables(connection: Connection[Any], schema_name: str, known: KnownEvents) -> list[str]:
    """Return the tables of events that ``known`` has not, staging tables too; partitions and views are of others."""
    rows = connection.execute(
        "SELECT nspname, relname, array_agg(attname::text) FROM pg_attribute JOIN pg_class c ON c.oid = attrelid "
        "JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = ANY(%s) AND relkind IN ('r', 'p') "
        "AND NOT relispartition AND attnum > 0 AND NOT attisdropped GROUP BY nspname, relname ORDER BY 1, 2",
        ([schema_name, *staging_schemas(connection, schema_name).ours],),
    ).fetchall()
    found = ((schema, known.strangers({table: columns})) for schema, table, columns in rows)
    return [its if schema == schema_name else f"{schema}.{its}" for schema, tables in found for its in tables]
