"""Events in an SQLite file, one table for each."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Self

from flowise_telemetry_consumer.sinks.port import staging_name
from flowise_telemetry_consumer.sinks.sql_file.sink import DatabaseFileSink
from flowise_telemetry_consumer.sinks.sqlite import erasing, progress, tables, views
from flowise_telemetry_consumer.sinks.sqlite.database import BUSY_TIMEOUT_SECONDS, Database

__all__ = ["SqliteSink"]


class SqliteSink(DatabaseFileSink[sqlite3.Connection]):
    """Events in an SQLite file, one table for each.

    The file is in WAL mode, so that it can be read while it is written, and every commit is synced to the disk
    (``synchronous=FULL``). Timestamps are text such as ``2026-01-31T12:00:00.000Z``, graphs JSON text.
    """

    def __init__(self, path: Path, *, table_set: str = "", busy_timeout_seconds: float = BUSY_TIMEOUT_SECONDS) -> None:
        self._busy_timeout_seconds = busy_timeout_seconds
        super().__init__(
            path, scheme="sqlite", table_set=table_set, tables=tables, progress=progress, erasing=erasing, views=views
        )

    def _open_database(self) -> Database:
        return Database(
            self._path,
            url=self._url,
            busy_timeout_seconds=self._busy_timeout_seconds,
            on_open=self._make_tables,
        )

    def staging(self, name: str) -> Self:
        """Return a sink whose tables are ``<name>__<event>`` in the same file."""
        return type(self)(
            self._path,
            table_set=self._prefix + staging_name(name),
            busy_timeout_seconds=self._busy_timeout_seconds,
        )

    def remains(self) -> str:
        """Return that nothing does but in a log that others still read."""
        return (
            "nothing is left of them in the file; a reader of before keeps them in its -wal until it ends,"
            " and copies and backups of the file have them"
        )
