"""Erasure in PostgreSQL: a table of hashes in the live schema, and rows of all schemas of its tables."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from flowise_telemetry_consumer.sinks.account.tables import STREAMS_TABLE
from flowise_telemetry_consumer.sinks.claims import PROGRESS_TABLE
from flowise_telemetry_consumer.sinks.erasures import ERASURES_TABLE, ErasedIds, Erasure, Erasures, delete_found
from flowise_telemetry_consumer.sinks.postgres.staging import staging_schemas
from flowise_telemetry_consumer.sinks.postgres.tables import SEEDING_TABLE, columns_of

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.sql import Composed

__all__ = ["REMAINS", "KnownErasures", "erase", "erasures_of", "hold_erasures"]

logger = logging.getLogger("flowise_telemetry.consumer")

_DELETED_ROWS = 5_000
"""Rows of one transaction: their locks are held for some 0.1 s."""

REMAINS = (
    "the server's files have them until VACUUM, which autovacuum does by itself, and its write-ahead log until it is"
    " recycled; standbys follow; archived logs and backups keep them"
)

_Begin = Callable[["Connection[Any]"], None]


class _Found(NamedTuple):
    """One table that holds such events: how it is told, schema, name, and the ids of the events."""

    shown: str
    schema: str
    table: str
    event_ids: Sequence[str]


class KnownErasures:
    """What a writer knows of the hashes, looked at anew in each transaction."""

    def __init__(self, schema_name: str) -> None:
        self._schema_name = schema_name
        self._known = Erasures()
        self._as_of: tuple[Any, ...] = ()

    def current(self, connection: Connection[Any]) -> Erasures:
        """Return what was erased. Until the transaction ends nobody stores more: ``erase`` waits for it."""
        hold_erasures(connection, self._schema_name)
        if not columns_of(connection, self._schema_name, ERASURES_TABLE):
            return Erasures()
        as_of = connection.execute(_with_table("SELECT count(*), max(erased_at) FROM {}", self._schema_name)).fetchone()
        if as_of != self._as_of:
            self._known, self._as_of = Erasures(tuple(_rows(connection, self._schema_name))), as_of or ()
        return self._known


def hold_erasures(connection: Connection[Any], schema_name: str) -> None:
    """Have ``erase`` store no more hashes, and remove nothing of an account, until the transaction ends."""
    connection.execute("SELECT pg_advisory_xact_lock_shared(hashtextextended(%s, 0))", (_lock(schema_name),))


def erasures_of(connection: Connection[Any], schema_name: str) -> list[Erasure]:
    """Return the hashes, none where there is no table."""
    return _rows(connection, schema_name) if columns_of(connection, schema_name, ERASURES_TABLE) else []


def erase(
    connection: Connection[Any],
    schema_name: str,
    events: Sequence[str],
    ids: ErasedIds,
    begin: _Begin,
    *,
    shown: str,
    dry_run: bool,
) -> Iterator[Mapping[str, int]]:
    """Store the hashes and delete the rows; yield how many after each transaction. ``begin`` sets its limits."""
    if not dry_run:
        with connection.transaction():
            begin(connection)
            _add(connection, schema_name, ids)

    def look() -> list[tuple[_Found, int]]:
        with connection.transaction():
            begin(connection)
            return [(its, len(its.event_ids)) for its in _found(connection, schema_name, events, ids)]

    _tell_of_others(connection, schema_name, shown)
    if dry_run:
        yield {table.shown: count for table, count in look()}
        return
    yield from delete_found(look, lambda table: _delete(connection, table, begin), shown)
    # Once more, as rows that were not deleted yet may have been summed up since.
    with connection.transaction():
        begin(connection)
        _delete_account(connection, schema_name, ids)


def _add(connection: Connection[Any], schema_name: str, ids: ErasedIds) -> None:
    """Store the hashes that are not there yet, inside a transaction, after those that write have ended.

    Whoever may read the progress may read the new table: otherwise writers that own nothing would be refused.
    """
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (_lock(schema_name),))
    if not columns_of(connection, schema_name, ERASURES_TABLE):
        connection.execute(
            _with_table(
                "CREATE TABLE {} (id_column text, key text, hash text, erased_at text NOT NULL, "
                "PRIMARY KEY (id_column, key, hash))",
                schema_name,
            )
        )
        _grant_reading(connection, schema_name)
    with connection.cursor() as cursor:
        cursor.executemany(
            _with_table("INSERT INTO {} VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING", schema_name),
            ids.missing(_rows(connection, schema_name)),
        )
    _delete_account(connection, schema_name, ids)


def _delete_account(connection: Connection[Any], schema_name: str, ids: ErasedIds) -> None:
    """Delete what the accounts tell of these installations: nobody adds to them any more, and who merges has ended."""
    from psycopg.sql import SQL, Identifier

    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (_lock(schema_name),))

    for schema in _schemas(connection, schema_name):
        for table in (STREAMS_TABLE, SEEDING_TABLE):
            for column, texts in ids.within(columns_of(connection, schema, table)).items():
                statement = SQL("DELETE FROM {} WHERE {} = ANY(%s::uuid[])")
                connection.execute(statement.format(Identifier(schema, table), Identifier(column)), (list(texts),))


def _found(connection: Connection[Any], schema_name: str, events: Sequence[str], ids: ErasedIds) -> list[_Found]:
    """Return the tables that hold such events, staging tables too, each with the ids of these."""
    from psycopg.sql import SQL, Identifier

    there: list[_Found] = []
    for schema in _schemas(connection, schema_name):
        for event in events:
            its = ids.within(columns_of(connection, schema, event))
            if not its:
                continue
            wanted = SQL(" OR ").join(SQL("{} = ANY(%s::uuid[])").format(Identifier(column)) for column in its)
            rows = connection.execute(
                SQL("SELECT event_id::text FROM {} WHERE {}").format(Identifier(schema, event), wanted),
                [list(texts) for texts in its.values()],
            ).fetchall()
            if rows:
                shown = event if schema == schema_name else f"{schema}.{event}"
                there.append(_Found(shown, schema, event, [event_id for (event_id,) in rows]))
    return there


def _delete(connection: Connection[Any], table: _Found, begin: _Begin) -> Iterator[Mapping[str, int]]:
    """Delete these events, some in each transaction; yield how many."""
    from psycopg.sql import SQL, Identifier

    statement = SQL("DELETE FROM {} WHERE event_id = ANY(%s::uuid[])").format(Identifier(table.schema, table.table))
    for start in range(0, len(table.event_ids), _DELETED_ROWS):
        with connection.transaction():
            begin(connection)
            step = list(table.event_ids[start : start + _DELETED_ROWS])
            count = connection.execute(statement, (step,)).rowcount
        yield {table.shown: count}


def _schemas(connection: Connection[Any], schema_name: str) -> list[str]:
    """Return the live schema and those of its staging tables."""
    return [schema_name, *staging_schemas(connection, schema_name).ours]


def _tell_of_others(connection: Connection[Any], schema_name: str, shown: str) -> None:
    others = staging_schemas(connection, schema_name).others
    if others:
        logger.warning(
            "%s: nothing is erased from %s, which no replay is known to have made: name it with schema= to erase there",
            shown,
            " and ".join(f"the schema {name}" for name in others),
        )


def _grant_reading(connection: Connection[Any], schema_name: str) -> None:
    statements = connection.execute(
        "SELECT format('GRANT SELECT ON TABLE %%I.%%I TO %%s', n.nspname, %(table)s::text, "
        "CASE WHEN acl.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(acl.grantee)) END) "
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) AS acl "
        "WHERE n.nspname = %(schema)s AND c.relname = %(progress)s AND acl.privilege_type = 'SELECT' "
        "AND acl.grantee <> c.relowner",
        {"table": ERASURES_TABLE, "schema": schema_name, "progress": PROGRESS_TABLE},
    ).fetchall()
    for (statement,) in statements:
        connection.execute(statement.encode())


def _rows(connection: Connection[Any], schema_name: str) -> list[Erasure]:
    rows = connection.execute(_with_table("SELECT id_column, key, hash, erased_at FROM {}", schema_name))
    return [Erasure(*row) for row in rows]


def _lock(schema_name: str) -> str:
    return f"{ERASURES_TABLE} of {schema_name}"


def _with_table(statement: Any, schema_name: str) -> Composed:
    from psycopg.sql import SQL, Identifier

    return SQL(statement).format(Identifier(schema_name, ERASURES_TABLE))
