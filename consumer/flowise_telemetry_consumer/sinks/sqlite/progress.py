"""Progress of each source, in a table beside those of the events."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from flowise_telemetry_consumer.sinks.claims import Advance, ProgressRow, Stored
from flowise_telemetry_consumer.sinks.sql_file.database import quoted
from flowise_telemetry_consumer.sinks.sqlite.tables import columns
from flowise_telemetry_schemas.json_mapping import milliseconds_of
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["advance", "carry", "claim", "make_progress_table", "rows_of", "stored_of"]

_NOW = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"


def make_progress_table(db: sqlite3.Connection, table: str) -> None:
    """Create the table if it is missing."""
    db.execute(
        f"CREATE TABLE IF NOT EXISTS {quoted(table)} ("
        "source TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL, next_offset INTEGER, "
        "epoch INTEGER NOT NULL, description TEXT NOT NULL, claimed_at TEXT, updated_at TEXT NOT NULL, "
        "PRIMARY KEY (source, topic, partition)) WITHOUT ROWID"
    )


def claim(
    db: sqlite3.Connection, table: str, source: str, partition: TopicPartition, description: str
) -> tuple[int | None, int]:
    """Claim a partition; return its next offset (None if nothing was written) and the epoch of the new claim."""
    statement = (
        f"INSERT INTO {quoted(table)} AS held (source, topic, partition, epoch, description, claimed_at, updated_at) "  # noqa: S608 - our table
        f"VALUES (?, ?, ?, 1, ?, {_NOW}, {_NOW}) ON CONFLICT DO UPDATE SET epoch = held.epoch + 1, "
        "description = excluded.description, claimed_at = excluded.claimed_at, updated_at = excluded.updated_at "
        "RETURNING next_offset, epoch"
    )
    rows: list[tuple[int | None, int]] = db.execute(statement, (source, *partition, description)).fetchall()
    return rows[0]


def advance(db: sqlite3.Connection, table: str, source: str, step: Advance) -> bool:
    """Advance a partition; return False, having changed nothing, if its epoch is not ours or less is stored."""
    statement = (
        f"UPDATE {quoted(table)} SET next_offset = ?, updated_at = {_NOW} "  # noqa: S608 - our table
        "WHERE source = ? AND topic = ? AND partition = ? AND epoch = ? AND coalesce(next_offset, 0) >= ?"
    )
    values = (step.next_offset, source, *step.partition, step.epoch, step.held or 0)
    return db.execute(statement, values).rowcount == 1


def stored_of(db: sqlite3.Connection, table: str, source: str) -> dict[TopicPartition, Stored]:
    """Return what is stored of a source."""
    statement = f"SELECT topic, partition, next_offset, epoch FROM {quoted(table)} WHERE source = ?"  # noqa: S608 - our table
    return {TopicPartition(topic, number): Stored(*rest) for topic, number, *rest in db.execute(statement, (source,))}


def carry(db: sqlite3.Connection, old: str, new: str, row: ProgressRow, next_offset: int | None) -> None:
    """Carry a claim over to the table that takes over the name, and the offset where that knows nothing of it."""
    db.execute(
        f"INSERT INTO {quoted(new)} AS held (source, topic, partition, next_offset, epoch, description, updated_at) "  # noqa: S608 - our tables
        f"SELECT source, topic, partition, ?, epoch, description, {_NOW} FROM {quoted(old)} "
        "WHERE source = ? AND topic = ? AND partition = ? "
        "ON CONFLICT DO UPDATE SET epoch = max(held.epoch, excluded.epoch)",
        (next_offset, row.source, *row.partition),
    )


def rows_of(db: sqlite3.Connection, table: str) -> Iterable[ProgressRow]:
    """Yield all rows; none if there is no such table yet."""
    if not columns(db, table):
        return
    statement = (
        "SELECT source, topic, partition, next_offset, description, claimed_at, updated_at "  # noqa: S608 - our table
        f"FROM {quoted(table)}"
    )
    for source, topic, partition, next_offset, description, claimed_at, updated_at in db.execute(statement):
        yield ProgressRow(
            source,
            TopicPartition(topic, partition),
            next_offset,
            description,
            claimed_at_ms=milliseconds_of(claimed_at) if claimed_at else None,
            updated_at_ms=milliseconds_of(updated_at),
        )
