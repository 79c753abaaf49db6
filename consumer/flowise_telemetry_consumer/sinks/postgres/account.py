"""Rows of the streams' account in PostgreSQL, merged beside those who add some."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowise_telemetry_consumer.sinks.account.port import Merged
from flowise_telemetry_consumer.sinks.account.seeding import merged_columns, merged_select
from flowise_telemetry_consumer.sinks.account.tables import STREAMS_TABLE
from flowise_telemetry_consumer.sinks.postgres.tables import DAY, INSTANCE, columns_of

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["merge_streams"]


def merge_streams(connection: Connection[Any], schema_name: str) -> Merged:
    """Replace the rows of streams by their sums. What others add meanwhile is neither read nor deleted."""
    from psycopg.sql import SQL, Identifier

    if not columns_of(connection, schema_name, STREAMS_TABLE):
        return Merged(0, 0)
    table = Identifier(schema_name, STREAMS_TABLE).as_string(connection)
    sums = merged_select("gone", day=DAY, ever="bool_or", instance=INSTANCE)
    row = connection.execute(
        SQL(
            f"WITH gone AS (DELETE FROM {table} RETURNING *), "  # noqa: S608 - our table
            f"put AS (INSERT INTO {table} ({merged_columns()}) {sums} RETURNING 1) "
            "SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM put)"
        )
    ).fetchone()
    return Merged(*row) if row else Merged(0, 0)
