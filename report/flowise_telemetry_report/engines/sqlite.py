"""SQLite's engine: read-only, as of one moment, with temporary tables on the disk."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence

from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.sinks.local_files import file_of
from flowise_telemetry_consumer.sinks.sqlite.database import BUSY_TIMEOUT_SECONDS, Database
from flowise_telemetry_consumer.sinks.sqlite.views import DIALECT
from flowise_telemetry_report.engines.dialect import Dialect
from flowise_telemetry_report.engines.local import LocalEngine

__all__ = ["SqliteEngine", "open_sqlite"]

_CACHE_KIB = 131_072
_STEPS = 1_000_000
"""Of SQLite's virtual machine, some milliseconds."""

_WITHHELD = """
SELECT s.stream_id AS stream_id, s.instance_id AS instance_id, json_extract(w.value, '$.field') AS field,
       json_extract(w.value, '$.rule') AS rule, json_extract(w.value, '$.values') AS times
FROM stream_state AS s, json_each(s.withheld) AS w WHERE s.occurred_at >= {since_time}"""


class SqliteEngine(LocalEngine):
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
        super().__init__(url)
        self._opened = contextlib.ExitStack()
        self._database = Database(
            file_of(url, "sqlite"), url=url, busy_timeout_seconds=BUSY_TIMEOUT_SECONDS, on_open=lambda db: None
        )
        with self._database.translate_errors():
            self.db: sqlite3.Connection = self._opened.enter_context(self._database.reading())
            self.db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            self.db.execute("SELECT 1 FROM sqlite_master").fetchone()
            # Python looks at signals when it runs, which is between queries else.
            self.db.set_progress_handler(lambda: None, _STEPS)

    def columns(self, name: str) -> Sequence[str]:
        """Return the columns of a table or view."""
        return [column for (column,) in self._run("SELECT name FROM pragma_table_info(?)", name)]

    @contextlib.contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            with self._database.translate_errors():
                yield
        except SinkError as error:
            if getattr(error.__cause__, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
                raise KeyboardInterrupt from error
            raise

    def close(self) -> None:
        """Close the file."""
        self._opened.close()


def open_sqlite(url: str) -> SqliteEngine:
    """Return the engine of an SQLite URL."""
    return SqliteEngine(url)
