"""A sink in one file: ``sqlite:///relative.db`` or ``sqlite:////absolute.db``."""

from __future__ import annotations

from flowise_telemetry_consumer.sinks.local_files import file_of
from flowise_telemetry_consumer.sinks.sqlite.database import BUSY_TIMEOUT_SECONDS
from flowise_telemetry_consumer.sinks.sqlite.sink import SqliteSink

__all__ = ["BUSY_TIMEOUT_SECONDS", "SqliteSink", "open_sqlite"]


def open_sqlite(url: str) -> SqliteSink:
    """Return the sink of an SQLite URL; ``prepare`` creates the file."""
    return SqliteSink(file_of(url, "sqlite"))
