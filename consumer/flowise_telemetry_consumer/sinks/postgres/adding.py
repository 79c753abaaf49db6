"""Adding rows of which some may be there: a straight copy, or a merge out of a temporary table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from flowise_telemetry_consumer.sinks.account.rows import stream_rows
from flowise_telemetry_consumer.sinks.account.tables import LETTERS_TABLE, STREAMS_TABLE, account_schema
from flowise_telemetry_consumer.sinks.event_ids import first_of_each
from flowise_telemetry_consumer.sinks.postgres.tables import copy_rows, is_keyed, merge_statement, stage_statement
from flowise_telemetry_schemas import EventSchema

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["Adding"]


class Adding:
    """Adds rows to the tables of one schema, inside the caller's transactions.

    After a batch that was all new, the next is copied straight into the tables, until one contains a known event: that
    costs the server a third less.
    """

    def __init__(self, schema_name: str) -> None:
        self._schema_name = schema_name
        # The first batch after a start or a failure has often been written before.
        self.expects_known = True

    def add(self, connection: Connection[Any], schema: EventSchema, frame: pl.DataFrame) -> pl.DataFrame:
        """Add the rows whose event is new; return those. Rows without an id are all new."""
        from psycopg import Rollback
        from psycopg.errors import FeatureNotSupported, UniqueViolation

        if not self.expects_known:
            try:
                with connection.transaction() as straight:
                    # In the order of the merge: two writers of the same events cannot deadlock.
                    rows = frame.sort("event_id") if is_keyed(schema) else frame
                    if copy_rows(connection, schema, rows, into=self._schema_name) == rows.height:
                        return frame
                    # A trigger of others skips some: the merge says which.
                    raise Rollback(straight)
            except (UniqueViolation, FeatureNotSupported):
                # FeatureNotSupported: COPY FROM is refused where row-level security applies to the role.
                self.expects_known = True
        connection.execute(stage_statement(self._schema_name, schema))
        copy_rows(connection, schema, frame)
        cursor = connection.execute(merge_statement(self._schema_name, schema))
        if cursor.rowcount == frame.height:
            return frame
        ids = [event_id for (event_id,) in cursor.fetchall()]
        return first_of_each(frame.filter(pl.col("event_id").is_in(ids)))

    def account(
        self, connection: Connection[Any], added: Mapping[str, pl.DataFrame], letters: pl.DataFrame | None
    ) -> None:
        """Account for the rows that a batch added, and for dead letters that were not accounted for yet."""
        streams = stream_rows(added)
        for table, rows in ((STREAMS_TABLE, streams), (LETTERS_TABLE, letters)):
            if rows is not None and rows.height:
                self.add(connection, account_schema(table), rows)
