"""Views for analysts in PostgreSQL, over functions that find their tables by name (ADR 0041).

A view of the server's own follows its tables, whatever they are called later, and keeps them from being dropped. The
planner puts the query of such a function in its place, so that conditions reach the tables.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from flowise_telemetry_consumer.sinks.postgres.short_locks import LOCK_TIMEOUT_MS
from flowise_telemetry_consumer.sinks.postgres.tables import DAY, INSTANCE, PREPARE_LOCK, columns_of
from flowise_telemetry_consumer.sinks.views import VIEWS, Dialect, Due, due_views, not_made, warn_of_taken
from flowise_telemetry_schemas import EventSchema

if TYPE_CHECKING:
    from psycopg import Connection

    from flowise_telemetry_consumer.sinks.postgres.address import Address

__all__ = ["DIALECT", "AnalystViews"]

_FUNCTION = "flowise_telemetry_view_"
_TEXT_OF_FUNCTION = "$flowise_telemetry$"

# Classes of SQLSTATE that say what this role or these relations are like, and not that the server is away.
_NOT_NOW = ("23", "2B", "3F", "42", "55")
_NO_RIGHT = "42501"
_LOCKED = "55P03"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


DIALECT = Dialect(
    quoted=_quoted,
    types={"text": "text", "uuid": "uuid", "integer": "bigint", "boolean": "boolean", "time": "timestamptz"},
    cast="CAST({value} AS {type})",
    day=DAY.replace("occurred_at", "e.occurred_at"),
    ever="bool_or",
    id_minimum=INSTANCE,
    node_rows="{table} AS e CROSS JOIN LATERAL jsonb_array_elements_text({graph} -> 'nodes') AS n (node_id)",
    node="n.node_id",
    edge_rows="{table} AS e CROSS JOIN LATERAL jsonb_array_elements({graph} -> 'edges') AS n (edge)",
    source="n.edge ->> 'source'",
    target="n.edge ->> 'target'",
    vendors="(VALUES {rows}) AS {alias} (node_type, vendor)",
)


class AnalystViews:
    """The views of one schema of live tables."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._told: set[str] = set()

    def make(self, connection: Connection[Any], schemas: Iterable[EventSchema]) -> None:
        """Make what is missing or older, inside a transaction; warn once where that cannot be."""
        import psycopg

        schemas, address = tuple(schemas), self._address
        if address.live or not schemas:
            return
        warn_of_taken(address.shown, _relations(connection, address.schema), self._told)
        due = _due(connection, address.schema, schemas)
        if not due:
            return
        try:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (PREPARE_LOCK,))
                # A view that is being read is not waited for: nobody may queue behind us.
                connection.execute("SELECT set_config('lock_timeout', %s, true)", (str(LOCK_TIMEOUT_MS),))
                for view in _due(connection, address.schema, schemas):
                    _replace(connection, address.schema, view)
        except psycopg.Error as error:
            if connection.broken or (error.sqlstate or "")[:2] not in _NOT_NOW:
                raise
            not_made(address.shown, due, f"{error.diag.message_primary}: {_mend(error.sqlstate)}", self._told)


def _mend(state: str | None) -> str:
    if state == _NO_RIGHT:
        return "let a role that may create and owns them start a consumer once"
    if state == _LOCKED:
        return "others use them; the next start tries again"
    return "drop them, and the next start makes them"


def _due(connection: Connection[Any], schema_name: str, schemas: Iterable[EventSchema]) -> list[Due]:
    return due_views(
        schemas,
        _relations(connection, schema_name),
        partial(columns_of, connection, schema_name),
        DIALECT,
        lambda table: f"{_quoted(schema_name)}.{_quoted(table)}",
    )


def _relations(connection: Connection[Any], schema_name: str) -> dict[str, str]:
    """Return the comment of each relation that has the name of a view."""
    rows = connection.execute(
        "SELECT c.relname, coalesce(obj_description(c.oid, 'pg_class'), '') FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = ANY(%s)",
        (schema_name, list(VIEWS)),
    ).fetchall()
    return dict(rows)


def _replace(connection: Connection[Any], schema_name: str, due: Due) -> None:
    """Make the function of a view, have the view read from it, and drop the one from which it read before."""
    function = f"{_FUNCTION}{due.name}_{due.digest}"
    named = f"{_quoted(schema_name)}.{_quoted(function)}"
    view = f"{_quoted(schema_name)}.{_quoted(due.name)}"
    columns = _columns(connection, due.query)
    returned = ", ".join(f"{_quoted(name)} {its_type}" for name, its_type in columns)
    connection.execute(
        f"CREATE OR REPLACE FUNCTION {named}() RETURNS TABLE ({returned}) LANGUAGE sql STABLE PARALLEL SAFE "
        f"AS {_TEXT_OF_FUNCTION}{due.query}{_TEXT_OF_FUNCTION}".encode()
    )
    names = ", ".join(_quoted(name) for name, _ in columns)
    connection.execute(f"CREATE OR REPLACE VIEW {view} AS SELECT {names} FROM {named}()".encode())  # noqa: S608
    comment = due.comment.replace("'", "''")
    connection.execute(f"COMMENT ON VIEW {view} IS '{comment}'".encode())
    for (former,) in connection.execute(
        "SELECT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace "
        "WHERE n.nspname = %s AND starts_with(p.proname, %s) AND p.proname <> %s",
        (schema_name, f"{_FUNCTION}{due.name}_", function),
    ).fetchall():
        connection.execute(f"DROP FUNCTION {_quoted(schema_name)}.{_quoted(former)}()".encode())


def _columns(connection: Connection[Any], query: str) -> list[tuple[str, str]]:
    """Return name and type of each column of a query."""
    described = connection.execute(f"SELECT * FROM ({query}) AS q LIMIT 0".encode()).description or ()  # noqa: S608
    types = [column.type_code for column in described]
    rows = connection.execute(
        "SELECT format_type(t, NULL) FROM unnest(%s::oid[]) WITH ORDINALITY AS u (t, n) ORDER BY n", (types,)
    )
    return [(column.name, name) for column, (name,) in zip(described, rows, strict=True)]
