"""Events in a DuckDB file, one table for each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Self

from flowise_telemetry_consumer.sinks.duckdb import erasing, progress, tables, views
from flowise_telemetry_consumer.sinks.duckdb.database import Database
from flowise_telemetry_consumer.sinks.port import staging_name
from flowise_telemetry_consumer.sinks.sql_file.sink import DatabaseFileSink

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from flowise_telemetry_consumer.sinks.sql_file.database import DatabaseFile

__all__ = ["DuckdbSink"]


class DuckdbSink(DatabaseFileSink["DuckDBPyConnection"]):
    """Events in a DuckDB file: ``UUID``, ``TIMESTAMP`` (UTC), ``STRUCT`` and list columns.

    DuckDB lets one process at a time open the file for writing, and no other may read meanwhile. Within the process any
    number of sinks may use it. Frames are written without being copied or turned into rows, and read back in the order
    in which they were added.
    """

    def __init__(self, path: Path, *, table_set: str = "") -> None:
        super().__init__(
            path, scheme="duckdb", table_set=table_set, tables=tables, progress=progress, erasing=erasing, views=views
        )

    def _open_database(self) -> DatabaseFile[DuckDBPyConnection]:
        return Database(self._path, url=self._url, on_open=self._make_tables)

    def staging(self, name: str) -> Self:
        """Return a sink whose tables are ``<name>__<event>`` in the same file."""
        return type(self)(self._path, table_set=self._prefix + staging_name(name))

    def remains(self) -> str:
        """Return that free blocks of the file do."""
        return (
            "free space of the file has them until new rows take it: COPY FROM DATABASE into a new file leaves them"
            " behind; copies and backups of the file have them, too"
        )
