"""PostgreSQL's engine: one transaction that sees one moment, and writes nothing but temporary tables."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.sinks.postgres.address import address_of
from flowise_telemetry_consumer.sinks.postgres.connecting import Connector
from flowise_telemetry_consumer.sinks.postgres.errors import translate_errors
from flowise_telemetry_consumer.sinks.postgres.views import DIALECT
from flowise_telemetry_consumer.sinks.views import Dialect as GraphDialect
from flowise_telemetry_report.engines.dialect import STANDARD

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["PostgresEngine", "open_postgres"]

_WITHHELD = """
SELECT s.stream_id, s.instance_id, w.value ->> 'field' AS field, w.value ->> 'rule' AS rule,
       CAST(w.value ->> 'values' AS bigint) AS times
FROM stream_state AS s CROSS JOIN LATERAL jsonb_array_elements(s.withheld) AS w
WHERE s.occurred_at >= {since_time}"""

_WORK_MEMORY = "64MB"
"""Of each sort or hash of a query, on the server; beyond it the server writes temporary files."""


class PostgresEngine:
    """Queries on one schema of a PostgreSQL.

    Where the login may make temporary tables, bases are kept in them; else each query has its own. A standby has no
    temporary tables.
    """

    dialect = replace(STANDARD, latest="CAST(max(CAST(event_id AS text)) AS uuid)", withheld=_WITHHELD)

    def __init__(self, url: str) -> None:
        self._address = address_of(url)
        self._connection: Connection[Any] = Connector(self._address).connect()
        try:
            with translate_errors(self._address):
                self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        from psycopg.sql import SQL, Identifier

        run = self._connection.execute
        run(SQL("SET search_path = {}").format(Identifier(self._address.schema)))
        run("SET TimeZone = 'UTC'")
        # Views of 393 vendors are not worth compiling.
        run("SET jit = off")
        run("SET statement_timeout = 0")
        run(f"SET work_mem = '{_WORK_MEMORY}'")
        found = run("SELECT pg_is_in_recovery() OR NOT has_database_privilege(current_database(), 'TEMPORARY')")
        ((reads_only,),) = found.fetchall()
        self._keeps = not reads_only
        run(f"BEGIN ISOLATION LEVEL REPEATABLE READ{' READ ONLY' if reads_only else ''}")

    @property
    def url(self) -> str:
        """The sink's address, its password as ``***``."""
        return self._address.shown

    def has(self, name: str) -> bool:
        """Return True if there is a table or view of this name that the login may read."""
        statement = "SELECT to_regclass(%s) IS NOT NULL AND has_table_privilege(to_regclass(%s)::oid, 'SELECT')"
        with translate_errors(self._address):
            ((there,),) = self._connection.execute(statement, [name, name]).fetchall()
        return bool(there)

    def columns(self, name: str) -> Sequence[str]:
        """Return the columns of a table or view."""
        statement = "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 ORDER BY attnum"
        with translate_errors(self._address):
            return [column for (column,) in self._connection.execute(statement, [name]).fetchall()]

    def keep(self, name: str, query: str) -> bool:
        """Keep the rows in a temporary table that ends with the transaction."""
        if not self._keeps:
            return False
        self._run(f"CREATE TEMP TABLE {name} ON COMMIT DROP AS {query}")
        self._run(f"ANALYZE {name}")
        return True

    @property
    def graphs(self) -> GraphDialect | None:
        """How it spells the views of graphs."""
        return DIALECT if self._keeps else None

    def show(self, name: str, query: str) -> None:
        """Put a temporary view in front of the sink's."""
        self._run(f"CREATE TEMP VIEW {name} AS {query}")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        found: list[tuple[Any, ...]] = self._run(query).fetchall()
        return found

    def _run(self, text: str) -> Any:
        with translate_errors(self._address):
            # Texts of questions, with a date and numbers of ours.
            return self._connection.execute(text)

    def close(self) -> None:
        """End the transaction, which drops what was kept, and the connection."""
        with contextlib.suppress(SinkError), translate_errors(self._address):
            self._connection.execute("ROLLBACK")
        self._connection.close()


def open_postgres(url: str) -> PostgresEngine:
    """Return the engine of a PostgreSQL URL."""
    return PostgresEngine(url)
