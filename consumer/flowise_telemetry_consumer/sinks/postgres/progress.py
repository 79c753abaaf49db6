"""Progress of each source, in a table beside those of the events; and locks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, LiteralString

from flowise_telemetry_consumer.sinks.claims import PROGRESS_TABLE, Advance, ProgressRow, Stored, carried_offset
from flowise_telemetry_transport.types import TopicPartition

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.sql import Composed

__all__ = ["advance", "carry_claims", "claim", "progress_table", "rows_of", "stored_of", "try_lock"]


def progress_table(schema_name: str) -> Composed:
    """Return the statement that creates the table, which stays small: a row per partition of each group and replay."""
    return _with_table(
        "CREATE TABLE {} (source text, topic text, partition integer, next_offset bigint, epoch bigint NOT NULL, "
        "description text NOT NULL, claimed_at timestamptz, updated_at timestamptz NOT NULL, "
        "PRIMARY KEY (source, topic, partition)) "
        # Every batch updates a row: free space in its page keeps the update there and off the index (HOT).
        "WITH (fillfactor = 50)",
        schema_name,
    )


def claim(
    connection: Connection[Any], schema_name: str, source: str, partitions: Iterable[TopicPartition], description: str
) -> list[tuple[TopicPartition, int | None, int]]:
    """Claim partitions; return each with its next offset (None if nothing was written) and the claim's epoch."""
    # All lock in the same order, so that two claims of the same partitions cannot deadlock.
    topics, numbers = zip(*sorted(set(partitions)), strict=True)
    rows = connection.execute(
        _with_table(
            "INSERT INTO {} AS held (source, topic, partition, epoch, description, claimed_at, updated_at) "
            "SELECT %s, topic, partition, 1, %s, clock_timestamp(), clock_timestamp() "
            'FROM unnest(%s::text[], %s::int[]) AS claimed (topic, partition) ORDER BY topic COLLATE "C", partition '
            "ON CONFLICT (source, topic, partition) DO UPDATE SET epoch = held.epoch + 1, "
            "description = excluded.description, claimed_at = excluded.claimed_at, updated_at = excluded.updated_at "
            "RETURNING topic, partition, next_offset, epoch",
            schema_name,
        ),
        (source, description, list(topics), list(numbers)),
    )
    return [(TopicPartition(topic, number), offset, epoch) for topic, number, offset, epoch in rows]


def advance(connection: Connection[Any], schema_name: str, source: str, steps: Sequence[Advance]) -> bool:
    """Advance partitions, after waiting for claims under way.

    Return False if an epoch is no longer ours, or less is stored than was held.
    """
    with connection.cursor() as cursor:
        # In the order in which claims lock. The statements are pipelined: all are sent before the first answer.
        cursor.executemany(
            _with_table(
                "UPDATE {} SET next_offset = %s, updated_at = clock_timestamp() "
                "WHERE source = %s AND topic = %s AND partition = %s AND epoch = %s "
                "AND coalesce(next_offset, 0) >= %s",
                schema_name,
            ),
            [(step.next_offset, source, *step.partition, step.epoch, step.held or 0) for step in steps],
        )
        return cursor.rowcount == len(steps)


def stored_of(connection: Connection[Any], schema_name: str, source: str) -> dict[TopicPartition, Stored]:
    """Return what is stored of a source."""
    rows = connection.execute(
        _with_table("SELECT topic, partition, next_offset, epoch FROM {} WHERE source = %s", schema_name), (source,)
    )
    return {TopicPartition(topic, number): Stored(*rest) for topic, number, *rest in rows}


def carry_claims(connection: Connection[Any], old_schema: str, new_schema: str) -> None:
    """Carry claims over to the table that takes over the name, and offsets where that knows nothing of the source.

    So that running consumers keep writing, and find out what the new tables lack.
    """
    from psycopg.sql import SQL, Identifier

    incoming = rows_of(connection, new_schema)
    statement = SQL(
        "INSERT INTO {} AS held (source, topic, partition, next_offset, epoch, description, updated_at) "
        "SELECT source, topic, partition, %s, epoch, description, clock_timestamp() FROM {} "
        "WHERE source = %s AND topic = %s AND partition = %s "
        "ON CONFLICT (source, topic, partition) DO UPDATE SET epoch = greatest(held.epoch, excluded.epoch)"
    ).format(Identifier(new_schema, PROGRESS_TABLE), Identifier(old_schema, PROGRESS_TABLE))
    carried = [(carried_offset(row, incoming), row.source, *row.partition) for row in rows_of(connection, old_schema)]
    if carried:
        with connection.cursor() as cursor:
            cursor.executemany(statement, carried)


def rows_of(connection: Connection[Any], schema_name: str) -> list[ProgressRow]:
    """Return all rows."""
    rows = connection.execute(
        _with_table(
            "SELECT source, topic, partition, next_offset, description, "
            "floor(extract(epoch FROM claimed_at) * 1000)::bigint, "
            "floor(extract(epoch FROM updated_at) * 1000)::bigint FROM {}",
            schema_name,
        )
    )
    return [ProgressRow(source, TopicPartition(topic, number), *rest) for source, topic, number, *rest in rows]


def try_lock(connection: Connection[Any], schema_name: str, name: str) -> bool:
    """Try to acquire a lock that lasts as long as the connection; return False if another holds it."""
    # This session is idle by design, so it must not be ended for that; and when our machine vanishes, the server should
    # notice within half a minute. idle_session_timeout exists since PostgreSQL 14.
    connection.execute(
        "SELECT set_config(s.name, wanted.value, false) FROM pg_settings s "
        "JOIN (VALUES ('idle_session_timeout', '0'), ('tcp_keepalives_idle', '10'), ('tcp_keepalives_interval', '5'), "
        "('tcp_keepalives_count', '3')) AS wanted (name, value) ON wanted.name = s.name"
    )
    digest = hashlib.sha256(f"{schema_name}\0{name}".encode()).digest()
    key = int.from_bytes(digest[:8], "big", signed=True)
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", (key,)).fetchone()
    return bool(row and row[0])


def _with_table(statement: LiteralString, schema_name: str) -> Composed:
    from psycopg.sql import SQL, Identifier

    return SQL(statement).format(Identifier(schema_name, PROGRESS_TABLE))
