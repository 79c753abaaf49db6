"""Progress of each source, in a table beside those of the events."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from flowise_telemetry_consumer.sinks.claims import Advance, ProgressRow, Stored
from flowise_telemetry_consumer.sinks.duckdb.tables import columns
from flowise_telemetry_consumer.sinks.sql_file.database import quoted
from flowise_telemetry_transport.types import TopicPartition

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["advance", "carry", "claim", "make_progress_table", "rows_of", "stored_of"]

_ROW = "source = ? AND topic = ? AND partition = ?"


def make_progress_table(db: DuckDBPyConnection, table: str) -> None:
    """Create the table if it is missing."""
    db.execute(
        f"CREATE TABLE IF NOT EXISTS {quoted(table)} ("
        "source VARCHAR NOT NULL, topic VARCHAR NOT NULL, partition INTEGER NOT NULL, next_offset BIGINT, "
        "epoch BIGINT NOT NULL, description VARCHAR NOT NULL, "
        "claimed_at TIMESTAMP, updated_at TIMESTAMP NOT NULL)"
    )


def claim(
    db: DuckDBPyConnection, table: str, source: str, partition: TopicPartition, description: str
) -> tuple[int | None, int]:
    """Claim a partition; return its next offset (None if nothing was written) and the epoch of the new claim."""
    key = (source, *partition)
    held: list[tuple[int | None, int]] = db.execute(
        f"SELECT next_offset, epoch FROM {quoted(table)} WHERE {_ROW}",  # noqa: S608 - our table
        key,
    ).fetchall()
    now = _now_ms()
    if not held:
        db.execute(
            f"INSERT INTO {quoted(table)} VALUES (?, ?, ?, NULL, 1, ?, epoch_ms(?), epoch_ms(?))",  # noqa: S608 - our table
            (*key, description, now, now),
        ).fetchall()
        return None, 1
    ((next_offset, epoch),) = held
    db.execute(
        f"UPDATE {quoted(table)} SET epoch = ?, description = ?, claimed_at = epoch_ms(?), updated_at = epoch_ms(?) "  # noqa: S608 - our table
        f"WHERE {_ROW}",
        (epoch + 1, description, now, now, *key),
    ).fetchall()
    return next_offset, epoch + 1


def advance(db: DuckDBPyConnection, table: str, source: str, step: Advance) -> bool:
    """Advance a partition; return False, having changed nothing, if its epoch is not ours or less is stored."""
    counted: list[tuple[int]] = db.execute(
        f"UPDATE {quoted(table)} SET next_offset = ?, updated_at = epoch_ms(?) "  # noqa: S608 - our table
        f"WHERE {_ROW} AND epoch = ? AND coalesce(next_offset, 0) >= ?",
        (step.next_offset, _now_ms(), source, *step.partition, step.epoch, step.held or 0),
    ).fetchall()
    return counted[0][0] == 1


def stored_of(db: DuckDBPyConnection, table: str, source: str) -> dict[TopicPartition, Stored]:
    """Return what is stored of a source."""
    statement = f"SELECT topic, partition, next_offset, epoch FROM {quoted(table)} WHERE source = ?"  # noqa: S608 - our table
    rows = db.execute(statement, [source]).fetchall()
    return {TopicPartition(topic, number): Stored(*rest) for topic, number, *rest in rows}


def carry(db: DuckDBPyConnection, old: str, new: str, row: ProgressRow, next_offset: int | None) -> None:
    """Carry a claim over to the table that takes over the name, and the offset where that knows nothing of it."""
    key = (row.source, *row.partition)
    claimed = f"SELECT epoch FROM {quoted(old)} WHERE {_ROW}"  # noqa: S608 - our table
    updated: list[tuple[int]] = db.execute(
        f"UPDATE {quoted(new)} SET epoch = greatest(epoch, ({claimed})) WHERE {_ROW}",  # noqa: S608 - our table
        (*key, *key),
    ).fetchall()
    if updated[0][0] == 0:
        db.execute(
            f"INSERT INTO {quoted(new)} (source, topic, partition, next_offset, epoch, description, updated_at) "  # noqa: S608 - our tables
            f"SELECT source, topic, partition, ?, epoch, description, epoch_ms(?) FROM {quoted(old)} WHERE {_ROW}",
            (next_offset, _now_ms(), *key),
        ).fetchall()


def rows_of(db: DuckDBPyConnection, table: str) -> Iterator[ProgressRow]:
    """Yield all rows; none if there is no such table yet."""
    if not columns(db, table):
        return
    statement = (
        "SELECT source, topic, partition, next_offset, description, epoch_ms(claimed_at), epoch_ms(updated_at) "  # noqa: S608 - our table
        f"FROM {quoted(table)}"
    )
    for source, topic, partition, next_offset, description, claimed_at_ms, updated_at_ms in db.execute(
        statement
    ).fetchall():
        yield ProgressRow(
            source,
            TopicPartition(topic, partition),
            next_offset,
            description,
            claimed_at_ms=claimed_at_ms,
            updated_at_ms=updated_at_ms,
        )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
