"""SQLite's engine: read-only, as of one moment, with temporary tables on the disk."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from typing import Any

from flowise_telemetry_consumer.sinks.local_files import file_of
from flowise_telemetry_consumer.sinks.sqlite.database import BUSY_TIMEOUT_SECONDS, Database
from flowise_telemetry_consumer.sinks.sqlite.views import DIALECT
from flowise_telemetry_report.engines.dialect import Dialect

__all__ = ["SqliteEngine", "open_sqlite"]

_CACHE_KIB = 131_072

_WITHHELD = """
SELECT s.stream_id AS stream_id, s.instance_id AS instance_id, json_extract(w.value, '$.field') AS field,
       json_extract(w.value, '$.rule') AS rule, json_extract(w.value, '$.values') AS times
FROM stream_state AS s, json_each(s.withheld) AS w WHERE s.occurred_at >= {since_time}"""


class SqliteEngine:
    """Queries on one SQLite file. A consumer may write meanwhile: what it adds is not seen."""

    dialect = Dialect(
        week="date({}, 'weekday 0', '-6 days')",
        month="substr({}, 1, 7) || '-01'",
        day_of_month="CAST(substr({}, 9, 2) AS INTEGER)",
        latest="max(event_id)",
        withheld=_WITHHELD,
    )
    graphs = DIALECT

    def __init__(self, url: str) -> None:
        self._url = url
        self._opened = contextlib.ExitStack()
        self._database = Database(
            file_of(url, "sqlite"), url=url, busy_timeout_seconds=BUSY_TIMEOUT_SECONDS, on_open=lambda db: None
        )
        with self._database.translate_errors():
            self._db: sqlite3.Connection = self._opened.enter_context(self._database.reading())
            self._db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            self._db.execute("SELECT 1 FROM sqlite_master").fetchone()

    @property
    def url(self) -> str:
        """The sink's address."""
        return self._url

    def has(self, name: str) -> bool:
        """Return True if there is a table or view of this name."""
        return bool(self.columns(name))

    def columns(self, name: str) -> Sequence[str]:
        """Return the columns of a table or view."""
        with self._database.translate_errors():
            return [column for (column,) in self._db.execute("SELECT name FROM pragma_table_info(?)", (name,))]

    def keep(self, name: str, query: str) -> bool:
        """Keep the rows in a temporary table."""
        with self._database.translate_errors():
            self._db.execute(f"CREATE TEMP TABLE {name} AS {query}")
        return True

    def show(self, name: str, query: str) -> None:
        """Put a temporary view in front of the sink's."""
        with self._database.translate_errors():
            self._db.execute(f"CREATE TEMP VIEW {name} AS {query}")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self._database.translate_errors():
            return self._db.execute(query).fetchall()

    def close(self) -> None:
        """Close the file."""
        self._opened.close()


def open_sqlite(url: str) -> SqliteEngine:
    """Return the engine of an SQLite URL."""
    return SqliteEngine(url)
