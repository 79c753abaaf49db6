"""Statements of an erasure in a DuckDB file."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flowise_telemetry_consumer.sinks.duckdb.tables import columns

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["begin", "columns", "delete", "end", "tables"]


def tables(db: DuckDBPyConnection) -> Sequence[str]:
    """Return the names of all tables."""
    rows = db.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database() "
        "AND schema_name = current_schema()"
    )
    return [name for (name,) in rows.fetchall()]


def begin(db: DuckDBPyConnection) -> None:
    """Do nothing: DuckDB overwrites nothing that it deletes."""


def delete(db: DuckDBPyConnection, statement: str) -> int:
    """Run a DELETE; return how many rows it removed."""
    ((count,),) = db.execute(statement).fetchall()
    return int(count)


def end(db: DuckDBPyConnection) -> None:
    """Bring the log into the file, which frees the space of the rows, unless a reader still needs it."""
    import duckdb

    with contextlib.suppress(duckdb.TransactionException):
        db.execute("CHECKPOINT")
