"""The file of a DuckDB sink: its connection, transactions and errors."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from flowise_telemetry_consumer.errors import RowRefusedError, SinkDeniedError, SinkError, SinkUnavailableError
from flowise_telemetry_consumer.sinks.local_files import why_not_opened
from flowise_telemetry_consumer.sinks.sql_file.database import DatabaseFile

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["MEMORY_LIMIT", "NOT_A_DATABASE", "Database"]

MEMORY_LIMIT = "128MB"
"""DuckDB's bound on memory, which by default is 80 % of the machine's."""

ROW_GROUP_ROWS = 4_096
"""Rows per row group. At DuckDB's default of 122,880 every batch would pass through the write-ahead log.

A batch that fills a row group is written straight into the file, compressed, and the log only points to it; a smaller
one is written to the log and then again to the file.
"""

_Config = dict[str, str | bool | int | float | list[str]]
_CONFIG: _Config = {"memory_limit": MEMORY_LIMIT}
_WRITER_CONFIG = _CONFIG | {
    # A batch is too small to divide among threads: more take longer.
    "threads": 1,
    # Each checkpoint rewrites the last row group of each table and the rows of smaller batches.
    "checkpoint_threshold": "64MB",
    # Otherwise a checkpoint merges row groups that are not full, which writes their rows a second time.
    "max_vacuum_tasks": 0,
}
_ATTACHED = "flowise_telemetry"

NOT_A_DATABASE = "is not a DuckDB database: name another file"

_RULES = ("Constraint Error: CHECK", "Constraint Error: NOT NULL")
"""Beginnings of texts that hold names alone."""

_NOT_OPENED = ("No such file", "Permission denied", "Is a directory", "Not a directory")

# Within a process all connections to a file share one database. The tables have no unique index, so only this lock
# keeps two of them from adding the same event at once.
_WRITE_LOCKS: dict[Path, threading.Lock] = {}


class Database(DatabaseFile["DuckDBPyConnection"]):
    """One DuckDB file: one process at a time may write to it, and no other may read meanwhile."""

    def __init__(self, path: Path, *, url: str, on_open: Callable[[DuckDBPyConnection], None]) -> None:
        # Imported here, so that a missing extra is reported when the sink is opened.
        import duckdb

        self._duckdb = duckdb
        super().__init__(path, url=url, errors=duckdb.Error, on_open=on_open)

    @contextlib.contextmanager
    def reading(self) -> Iterator[DuckDBPyConnection]:
        """Open a connection in a transaction, which sees the state of one moment. Never creates the file."""
        if self._db is not None:
            db = _entered(self._db.cursor())
        else:
            if not self._path.is_file():
                raise SinkError(f"{self._url} cannot be opened: {why_not_opened(self._path)}")
            try:
                db = self._duckdb.connect(str(self._path), read_only=True, config=_CONFIG)
            except self._duckdb.ResourceInUseException:
                # Another sink of this process writes to it.
                db = self._connect()
        with contextlib.closing(db):
            db.execute("BEGIN TRANSACTION READ ONLY")
            yield db

    @contextlib.contextmanager
    def transaction(self, db: DuckDBPyConnection) -> Iterator[None]:
        """Apply everything inside, or nothing; one transaction at a time."""
        with _WRITE_LOCKS.setdefault(self._path.resolve(), threading.Lock()):
            db.execute("BEGIN TRANSACTION")
            try:
                yield
                db.execute("COMMIT")
            except BaseException:
                # Some failures roll back by themselves.
                with contextlib.suppress(self._duckdb.Error):
                    db.execute("ROLLBACK")
                raise

    def _connect(self) -> DuckDBPyConnection:
        path = str(self._path.resolve())
        config = _WRITER_CONFIG | {"temp_directory": f"{path}.tmp"}
        # Only ATTACH takes a row group size. The name of the in-memory database makes it shared within this process.
        db = self._duckdb.connect(f":memory:{path}", config=config)
        try:
            literal = path.replace("'", "''")
            db.execute(
                f"ATTACH IF NOT EXISTS '{literal}' AS {_ATTACHED} (TYPE duckdb, ROW_GROUP_SIZE {ROW_GROUP_ROWS})"
            )
            return _entered(db)
        except BaseException:
            db.close()
            raise

    def _translate(self, error: Exception) -> SinkError:
        text = str(error).partition("\n")[0]
        known = self._duckdb
        outages = (known.IOException, known.FatalException, known.TransactionException)
        unavailable: str | None = None
        refused = f"refused: {text}"
        if "Could not set lock on file" in text:
            unavailable = (
                "is open in another program: DuckDB admits one program at a time, readers included; close it there"
            )
        elif isinstance(error, known.ResourceInUseException):
            unavailable = "is being read by this process"
        elif "not a valid DuckDB database file" in text:
            refused = NOT_A_DATABASE
        elif any(sign in text for sign in _NOT_OPENED):
            return SinkDeniedError(f"{self._url} cannot be opened: {why_not_opened(self._path)}")
        elif isinstance(error, known.ConstraintException):
            # Those of unique indexes and foreign keys quote the value.
            rule = text if text.startswith(_RULES) else "a unique index or a foreign key is against it"
            return RowRefusedError(f"{self._url} refused: {rule}; change or drop that rule")
        elif isinstance(error, known.CatalogException | known.BinderException):
            return SinkUnavailableError(f"{self._url}: {text}: what is missing is made again with the next attempt")
        elif isinstance(error, known.DataError):
            # The text quotes the value.
            refused = "refused a value that is not of its column's type"
        elif isinstance(error, outages):
            unavailable = f"cannot be read or written: {text}"
        return (
            SinkUnavailableError(f"{self._url} {unavailable}") if unavailable else SinkError(f"{self._url} {refused}")
        )


def _entered(db: DuckDBPyConnection) -> DuckDBPyConnection:
    """Return the connection, set to use the attached database."""
    db.execute(f"USE {_ATTACHED}")
    # Instants become timestamps without a zone, which must be UTC, not this machine's.
    db.execute("SET TimeZone = 'UTC'")
    return db
