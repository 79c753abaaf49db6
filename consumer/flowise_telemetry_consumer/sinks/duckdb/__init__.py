"""A sink for analysis in one file: ``duckdb:///relative.duckdb`` or ``duckdb:////absolute.duckdb``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from flowise_telemetry_consumer.sinks.duckdb.database import MEMORY_LIMIT, NOT_A_DATABASE
from flowise_telemetry_consumer.sinks.duckdb.sink import DuckdbSink
from flowise_telemetry_consumer.sinks.local_files import file_of

if TYPE_CHECKING:
    from flowise_telemetry_schemas import EventSchema
    from flowise_telemetry_transport.diagnosis.finding import Finding

__all__ = ["MEMORY_LIMIT", "DuckdbSink", "look", "open_duckdb"]


def open_duckdb(url: str) -> DuckdbSink:
    """Return the sink of a DuckDB URL; ``prepare`` creates the file."""
    return DuckdbSink(file_of(url, "duckdb"))


def look(url: str, schemas: Sequence[EventSchema]) -> Iterator[Finding]:
    """See ``SinkKind.look``."""
    from flowise_telemetry_consumer.sinks.sql_file.looking import look_at_database

    return look_at_database(file_of(url, "duckdb"), url, magic=b"DUCK", at=8, otherwise=NOT_A_DATABASE)
