"""Views for analysts in a DuckDB file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowise_telemetry_consumer.sinks.duckdb.tables import DAY, EVER
from flowise_telemetry_consumer.sinks.sql_file.database import quoted
from flowise_telemetry_consumer.sinks.views import VIEWS, Dialect, Due

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["DIALECT", "relations", "replace"]


DIALECT = Dialect(
    quoted=quoted,
    types={"text": "VARCHAR", "uuid": "UUID", "integer": "BIGINT", "boolean": "BOOLEAN", "time": "TIMESTAMP"},
    cast="CAST({value} AS {type})",
    day=DAY.replace("occurred_at", "e.occurred_at"),
    ever=EVER,
    id_minimum="min(instance_id)",
    node_rows="(SELECT *, unnest({graph}.nodes) AS its_node FROM {table} AS e) AS e",
    node="e.its_node",
    edge_rows="(SELECT *, unnest({graph}.edges) AS its_edge FROM {table} AS e) AS e",
    source="e.its_edge.source",
    target="e.its_edge.target",
    # rtrim takes five times as long here. A number has three digits at most.
    node_type="CASE '_' WHEN substr({id}, -2, 1) THEN left({id}, -2) WHEN substr({id}, -3, 1) THEN left({id}, -3) "
    "ELSE left({id}, -4) END",
    vendors="(VALUES {rows}) AS {alias} (node_type, vendor)",
)


def relations(db: DuckDBPyConnection) -> dict[str, str]:
    """Return the comment of each table and view that has the name of a view."""
    here = "database_name = current_database() AND schema_name = current_schema()"
    rows = db.execute(
        f"SELECT view_name, comment FROM duckdb_views() WHERE {here} "  # noqa: S608 - fixed
        f"UNION ALL SELECT table_name, comment FROM duckdb_tables() WHERE {here}"
    ).fetchall()
    return {name.lower(): comment or "" for name, comment in rows if name.lower() in VIEWS}


def replace(db: DuckDBPyConnection, due: Due) -> None:
    """Make a view anew, inside a transaction."""
    comment = due.comment.replace("'", "''")
    db.execute(f"CREATE OR REPLACE VIEW {quoted(due.name)} AS {due.query}")
    db.execute(f"COMMENT ON VIEW {quoted(due.name)} IS '{comment}'")
