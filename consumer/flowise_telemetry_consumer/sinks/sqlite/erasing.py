"""Statements of an erasure in an SQLite file."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence

from flowise_telemetry_consumer.sinks.sqlite.tables import columns

__all__ = ["begin", "columns", "delete", "end", "tables"]


def tables(db: sqlite3.Connection) -> Sequence[str]:
    """Return the names of all tables."""
    return [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]


def begin(db: sqlite3.Connection) -> None:
    """Have what is deleted over this connection overwritten with zeros."""
    db.execute("PRAGMA secure_delete = ON").fetchall()


def delete(db: sqlite3.Connection, statement: str) -> int:
    """Run a DELETE; return how many rows it removed."""
    return db.execute(statement).rowcount


def end(db: sqlite3.Connection) -> None:
    """Bring the log into the file and cut it, unless a reader still needs it."""
    with contextlib.suppress(sqlite3.OperationalError):
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
