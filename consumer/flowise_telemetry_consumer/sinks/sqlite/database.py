"""The file of an SQLite sink: its connection, transactions and errors."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

from flowise_telemetry_consumer.errors import RowRefusedError, SinkDeniedError, SinkError, SinkUnavailableError
from flowise_telemetry_consumer.sinks.local_files import why_not_opened
from flowise_telemetry_consumer.sinks.sql_file.database import DatabaseFile

__all__ = ["BUSY_TIMEOUT_SECONDS", "NOT_A_DATABASE", "Database"]

BUSY_TIMEOUT_SECONDS = 10.0
"""Time that a write waits for another program's lock before it raises ``SinkUnavailableError``."""

NOT_A_DATABASE = "is not an SQLite database: name another file"

_RULES = ("CHECK constraint failed", "NOT NULL constraint failed")
"""Beginnings of texts that hold names alone."""

_GONE = ("no such table", "no such column", "has no column named")

_WAL_RETRY_SECONDS = 0.05
_PAGE_BYTES = 16_384
_LARGE_LOG_BYTES = 2 * 1_000 * _PAGE_BYTES
"""Twice the size at which SQLite starts its log over."""


class Database(DatabaseFile[sqlite3.Connection]):
    """One SQLite file in WAL mode; every commit is synced to the disk."""

    def __init__(
        self, path: Path, *, url: str, busy_timeout_seconds: float, on_open: Callable[[sqlite3.Connection], None]
    ) -> None:
        super().__init__(path, url=url, errors=sqlite3.Error, on_open=on_open)
        self._busy_timeout_seconds = busy_timeout_seconds

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Open a read-only connection in a transaction, which sees the state of one moment. Never creates the file."""
        address = f"file:{quote(str(self._path.absolute()))}?mode=ro"
        db = sqlite3.connect(address, uri=True, timeout=self._busy_timeout_seconds, isolation_level=None)
        with contextlib.closing(db):
            db.execute("BEGIN")
            yield db

    @contextlib.contextmanager
    def transaction(self, db: sqlite3.Connection) -> Iterator[None]:
        """Apply everything inside, or nothing."""
        # IMMEDIATE takes the write lock here, where SQLite waits for it. A lock that is upgraded in the middle of a
        # transaction fails at once.
        db.execute("BEGIN IMMEDIATE")
        try:
            yield
            db.execute("COMMIT")
            self._shrink_log(db)
        except BaseException:
            # Some failures roll back by themselves.
            if db.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
            raise

    def _shrink_log(self, db: sqlite3.Connection) -> None:
        """Cut the write-ahead log where it grew: a reader of an older state keeps it from starting over.

        SQLite starts it over at 1,000 pages, and leaves the file as large as it was.
        """
        log = self._path.with_name(f"{self._path.name}-wal")
        with contextlib.suppress(OSError, sqlite3.Error):  # what was written is written
            if log.stat().st_size > _LARGE_LOG_BYTES:
                db.execute("PRAGMA busy_timeout = 0")
                try:
                    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                finally:
                    db.execute(f"PRAGMA busy_timeout = {int(self._busy_timeout_seconds * 1000)}")

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=self._busy_timeout_seconds, isolation_level=None)

    def _set_up(self, db: sqlite3.Connection) -> None:
        # Applies to a new file. Events are large for the default 4 KiB, which cost a fifth more time.
        db.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        self._use_wal(db)
        # NORMAL could lose the last commits in a power cut, after their offsets were committed to Kafka.
        db.execute("PRAGMA synchronous = FULL")

    def _use_wal(self, db: sqlite3.Connection) -> None:
        # SQLite does not wait for a lock when it changes the journal mode: two first starts at once collide here.
        deadline = time.monotonic() + self._busy_timeout_seconds
        while True:
            try:
                db.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                    raise
                time.sleep(_WAL_RETRY_SECONDS)
            else:
                return

    def _translate(self, error: Exception) -> SinkError:
        code = _code(error)
        unavailable = {
            sqlite3.SQLITE_BUSY: f"has been locked by another program for {self._busy_timeout_seconds:g} s",
            sqlite3.SQLITE_LOCKED: "is locked by another connection",
            sqlite3.SQLITE_FULL: "cannot grow: the disk is full",
            sqlite3.SQLITE_IOERR: f"cannot be read or written: {error}",
        }
        if code in unavailable:
            return SinkUnavailableError(f"{self._url} {unavailable[code]}")
        denied = {
            sqlite3.SQLITE_READONLY: "may not be written by this user: give it the file and its folder",
            sqlite3.SQLITE_PERM: "may not be used by this user: give it the file and its folder",
            sqlite3.SQLITE_CANTOPEN: f"cannot be opened: {why_not_opened(self._path)}",
        }
        if code in denied:
            return SinkDeniedError(f"{self._url} {denied[code]}")
        if code == sqlite3.SQLITE_CONSTRAINT:
            # Names of columns and of a CHECK; what a trigger of others says may have a value in it.
            rule = str(error) if str(error).startswith(_RULES) else "a trigger is against it"
            return RowRefusedError(f"{self._url} refused: {rule}; change or drop that rule")
        if code == sqlite3.SQLITE_ERROR and any(sign in str(error) for sign in _GONE):
            return SinkUnavailableError(f"{self._url}: {error}: it is made again with the next attempt")
        if code == sqlite3.SQLITE_NOTADB:
            return SinkError(f"{self._url} {NOT_A_DATABASE}")
        return SinkError(f"{self._url} refused: {error}")


def _code(error: Exception) -> int | None:
    """Return the primary result code; errors that Python raises itself have none."""
    extended: int | None = getattr(error, "sqlite_errorcode", None)
    return None if extended is None else extended & 0xFF
