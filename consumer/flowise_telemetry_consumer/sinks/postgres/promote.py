"""Exchange of the tables of two schemas, with the grants and views that belong to their names."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.sinks.claims import PROGRESS_TABLE
from flowise_telemetry_consumer.sinks.postgres.progress import carry_claims
from flowise_telemetry_consumer.sinks.postgres.short_locks import change_briefly

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["PROMOTE_TIMEOUT_SECONDS", "promote"]

PROMOTE_TIMEOUT_SECONDS = 60.0
"""Time limit for locking all tables, after which ``promote`` raises ``SinkUnavailableError``."""


def promote(
    connection: Connection[Any],
    live: str,
    other: str,
    events: Sequence[str],
    *,
    shown: str,
    timeout_seconds: float,
) -> None:
    """Exchange the tables of these events, and of the progress, between two schemas that have all of them.

    Runs inside a transaction. The new live tables get the grants of the old ones, and views keep reading the names that
    they were created with.
    """
    from psycopg import ProgrammingError
    from psycopg.sql import SQL, Identifier

    tables = [*sorted(events), PROGRESS_TABLE]
    _lock(connection, (live, other), tables, shown=shown, timeout_seconds=timeout_seconds)
    for table in tables:
        _copy_grants(connection, table, live, other)
    views = _views(connection, (live, other), tables, shown=shown)
    # Indexes and constraints move with their table and would collide with those of the same names: go through a third.
    between = f"swap_{uuid.uuid4().hex}"
    connection.execute(SQL("CREATE SCHEMA {}").format(Identifier(between)))
    for table in tables:
        for old, new in ((live, between), (other, live), (between, other)):
            move = SQL("ALTER TABLE {} SET SCHEMA {}").format(Identifier(old, table), Identifier(new))
            connection.execute(move)
    connection.execute(SQL("DROP SCHEMA {}").format(Identifier(between)))
    for view in views:
        try:
            connection.execute(view.recreate.encode())
        except ProgrammingError as error:
            said = f"the view {view.name} cannot be made to read from the new tables: {error.diag.message_primary}"
            raise SinkError(f"{shown}: {said}") from error
    carry_claims(connection, other, live)


@dataclass(frozen=True, slots=True)
class _View:
    name: str
    owner: str
    recreate: str


def _lock(
    connection: Connection[Any], schemas: Sequence[str], tables: Sequence[str], *, shown: str, timeout_seconds: float
) -> None:
    """Lock all tables in the order in which writers do; release and retry if one is not free in time.

    Locks their views first, as readers do: a reader that holds a view and waits for its table would block us later.
    """
    from psycopg.sql import SQL, Identifier

    names = SQL(", ").join(Identifier(schema, table) for table in tables for schema in schemas)
    views = _views(connection, schemas, tables, shown=shown)

    def lock() -> None:
        for view in views:
            # Changes nothing but locks the view. LOCK would lock every table that the view reads.
            connection.execute(f"ALTER VIEW {view.name} OWNER TO {view.owner}".encode())
        connection.execute(SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(names))

    change_briefly(connection, lock, shown=shown, timeout_seconds=timeout_seconds, then="promote after them")


def _copy_grants(connection: Connection[Any], table: str, live: str, other: str) -> None:
    """Copy grants, which follow the table and not its name: otherwise only the owner could use the new one."""
    statements = connection.execute(
        "SELECT format('GRANT %%s ON TABLE %%I.%%I TO %%s', acl.privilege_type, %(other)s::text, %(table)s::text, "
        "CASE WHEN acl.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(acl.grantee)) END "
        "|| CASE WHEN acl.is_grantable AND acl.grantee <> 0 THEN ' WITH GRANT OPTION' ELSE '' END) "
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) AS acl "
        "WHERE n.nspname = %(live)s AND c.relname = %(table)s AND acl.grantee <> c.relowner",
        {"other": other, "table": table, "live": live},
    ).fetchall()
    for (statement,) in statements:
        connection.execute(statement.encode())


def _views(connection: Connection[Any], schemas: Sequence[str], tables: Sequence[str], *, shown: str) -> list[_View]:
    """Return the views on these tables, with the statements that recreate them once other tables have the names.

    A view follows its table, not the name. Views on views need no change.
    """
    with connection.transaction():
        # With an empty search_path, definitions come with every schema spelled out.
        connection.execute("SELECT set_config('search_path', '', true)")
        rows = connection.execute(
            "SELECT v.relkind = 'm', format('%%I.%%I', vn.nspname, v.relname), "
            "quote_ident(pg_get_userbyid(v.relowner)), pg_get_viewdef(v.oid), array_to_string(v.reloptions, ', ') "
            "FROM pg_class v JOIN pg_namespace vn ON vn.oid = v.relnamespace "
            "WHERE v.relkind IN ('v', 'm') AND v.oid IN ("
            "SELECT r.ev_class FROM pg_rewrite r "
            "JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid "
            "AND d.refclassid = 'pg_class'::regclass "
            "JOIN pg_class t ON t.oid = d.refobjid JOIN pg_namespace n ON n.oid = t.relnamespace "
            "WHERE n.nspname = ANY(%s) AND t.relname = ANY(%s)) ORDER BY v.oid",
            (list(schemas), list(tables)),
        ).fetchall()
    for is_materialized, name, *_ in rows:
        if is_materialized:
            raise SinkError(f"{shown}: {name} holds rows of the old tables: drop it, promote, create it again")
    return [
        _View(name, owner, f"CREATE OR REPLACE VIEW {name}{f' WITH ({options})' if options else ''} AS {definition}")
        for _, name, owner, definition, options in rows
    ]
