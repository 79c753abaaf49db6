"""A sink in one file: ``sqlite:///relative.db`` or ``sqlite:////absolute.db``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from flowise_telemetry_consumer.sinks.local_files import file_of
from flowise_telemetry_consumer.sinks.sqlite.database import BUSY_TIMEOUT_SECONDS, NOT_A_DATABASE
from flowise_telemetry_consumer.sinks.sqlite.sink import SqliteSink

if TYPE_CHECKING:
    from flowise_telemetry_schemas import EventSchema
    from flowise_telemetry_transport.diagnosis.finding import Finding

__all__ = ["BUSY_TIMEOUT_SECONDS", "SqliteSink", "look", "open_sqlite"]


def open_sqlite(url: str) -> SqliteSink:
    """Return the sink of an SQLite URL; ``prepare`` creates the file."""
    return SqliteSink(file_of(url, "sqlite"))


def look(url: str, schemas: Sequence[EventSchema]) -> Iterator[Finding]:
    """See ``SinkKind.look``."""
    from flowise_telemetry_consumer.sinks.sql_file.looking import look_at_database

    return look_at_database(file_of(url, "sqlite"), url, magic=b"SQLite format 3\0", at=0, otherwise=NOT_A_DATABASE)
