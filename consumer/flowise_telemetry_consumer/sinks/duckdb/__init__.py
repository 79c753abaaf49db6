"""A sink for analysis in one file: ``duckdb:///relative.duckdb`` or ``duckdb:////absolute.duckdb``."""

from __future__ import annotations

from flowise_telemetry_consumer.sinks.duckdb.database import MEMORY_LIMIT
from flowise_telemetry_consumer.sinks.duckdb.sink import DuckdbSink
from flowise_telemetry_consumer.sinks.local_files import file_of

__all__ = ["MEMORY_LIMIT", "DuckdbSink", "open_duckdb"]


def open_duckdb(url: str) -> DuckdbSink:
    """Return the sink of a DuckDB URL; ``prepare`` creates the file."""
    return DuckdbSink(file_of(url, "duckdb"))
