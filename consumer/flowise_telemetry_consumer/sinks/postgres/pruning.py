"""Statements that remove old events from tables in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["count_before", "delete_before"]

_DELETED_ROWS = 5_000
"""Rows of one transaction: their locks are held for some 0.1 s."""

_Begin = Callable[["Connection[Any]"], None]


def count_before(
    connection: Connection[Any], schema_name: str, events: Sequence[str], before_ms: int, begin: _Begin
) -> Iterator[Mapping[str, int]]:
    """Yield how many events occurred before a time, a table at a time."""
    from psycopg.sql import SQL, Identifier

    statement = SQL("SELECT count(*) FROM {} WHERE occurred_at < to_timestamp(%s)")
    for event in events:
        with connection.transaction():
            begin(connection)
            row = connection.execute(statement.format(Identifier(schema_name, event)), (before_ms / 1000,)).fetchone()
        if row and row[0]:
            yield {event: int(row[0])}


def delete_before(
    connection: Connection[Any], schema_name: str, events: Sequence[str], before_ms: int, begin: _Begin
) -> Iterator[Mapping[str, int]]:
    """Delete the events that occurred before a time, the oldest first, and yield how many after each transaction.

    ``begin`` sets the limits of a transaction.
    """
    from psycopg.sql import SQL, Identifier

    # By id and not by ctid: whoever made the table a partitioned one has ctids that are not unique.
    statement = SQL(
        "DELETE FROM {table} WHERE event_id IN (SELECT event_id FROM {table} WHERE occurred_at < to_timestamp(%s) "
        "ORDER BY occurred_at LIMIT %s)"
    )
    for event in events:
        deleted = _DELETED_ROWS
        while deleted == _DELETED_ROWS:
            with connection.transaction():
                begin(connection)
                deleted = connection.execute(
                    statement.format(table=Identifier(schema_name, event)), (before_ms / 1000, _DELETED_ROWS)
                ).rowcount
            if deleted:
                yield {event: deleted}
