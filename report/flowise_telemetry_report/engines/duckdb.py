"""DuckDB's engine on a DuckDB file: read-only, within a bound of memory, beyond which it writes temporary files."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flowise_telemetry_consumer.errors import SinkError, SinkUnavailableError
from flowise_telemetry_consumer.sinks.duckdb.views import DIALECT
from flowise_telemetry_consumer.sinks.local_files import file_of, why_not_opened
from flowise_telemetry_report.engines.dialect import STANDARD
from flowise_telemetry_report.engines.local import LocalEngine
from flowise_telemetry_schemas import MissingExtraError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["MEMORY_LIMIT", "DuckdbEngine", "DuckdbRunner", "open_duckdb"]

MEMORY_LIMIT = "1500MB"

_WITHHELD = """
SELECT stream_id, instance_id, w.field AS field, w.rule AS rule, w."values" AS times
FROM (SELECT stream_id, instance_id, unnest(withheld) AS w
      FROM stream_state WHERE occurred_at >= {since_time}) AS told"""
_SINK = "sink"


class DuckdbRunner(LocalEngine):
    """A DuckDB in memory, to which what is read is attached; what it keeps is in temporary tables."""

    dialect = replace(STANDARD, withheld=_WITHHELD)
    graphs = DIALECT

    def __init__(self, url: str) -> None:
        try:
            import duckdb
        except ImportError as error:
            raise MissingExtraError("duckdb", "report") from error
        self._duckdb = duckdb
        super().__init__(url)
        self._folder = tempfile.TemporaryDirectory(prefix="flowise-telemetry-report-")
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": MEMORY_LIMIT,
            "temp_directory": self._folder.name,
            "preserve_insertion_order": False,  # each query says its order, and to keep another takes memory
        }
        self.db: DuckDBPyConnection = duckdb.connect(config=config)
        self.db.execute("SET TimeZone = 'UTC'")

    def columns(self, name: str) -> Sequence[str]:
        """Return the columns of a table or view."""
        statement = "SELECT column_name FROM duckdb_columns() WHERE table_name = ? AND database_name <> 'system'"
        return [column for (column,) in self._run(statement, name)]

    def close(self) -> None:
        """Close the database and remove its temporary files."""
        self.db.close()
        self._folder.cleanup()

    @contextlib.contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except self._duckdb.Error as error:
            raise self._failure(error) from error
        except RuntimeError as error:
            if "interrupt" not in str(error).lower():
                raise
            # DuckDB takes SIGINT for itself while a query runs.
            raise KeyboardInterrupt from error

    def _failure(self, error: Exception) -> SinkError:
        text = str(error).partition("\n")[0]
        if isinstance(error, self._duckdb.OutOfMemoryException):
            if "max_temp_directory_size" in str(error):
                return SinkUnavailableError(
                    f"{self._url}: the disk of {self._folder.name} is full: set TMPDIR to a larger"
                )
            return SinkError(
                f"{self._url}: the report takes more than {MEMORY_LIMIT} of memory: a later since takes less"
            )
        return SinkError(f"{self._url} cannot be asked: {text}")


class DuckdbEngine(DuckdbRunner):
    """Queries on one DuckDB file."""

    def __init__(self, url: str) -> None:
        path = file_of(url, "duckdb")
        super().__init__(url)
        try:
            self._attach(path)
        except BaseException:
            self.close()
            raise

    def _attach(self, path: Path) -> None:
        if not path.is_file():
            raise SinkError(f"{self._url} cannot be opened: {why_not_opened(path)}")
        literal = str(path.resolve()).replace("'", "''")
        with self._translated_errors():
            self.db.execute(f"ATTACH '{literal}' AS {_SINK} (TYPE duckdb, READ_ONLY)")
            self.db.execute(f"USE {_SINK}")

    def _failure(self, error: Exception) -> SinkError:
        text = str(error).partition("\n")[0]
        if "Could not set lock on file" in text:
            return SinkUnavailableError(
                f"{self._url} is open in another program, and DuckDB admits no reader beside a writer: "
                "stop the consumer while the report is made (it goes on where it was), or read a copy"
            )
        if "not a valid DuckDB database file" in text:
            return SinkError(f"{self._url} is not a DuckDB database: name another file")
        return super()._failure(error)


def open_duckdb(url: str) -> DuckdbEngine:
    """Return the engine of a DuckDB URL."""
    return DuckdbEngine(url)
