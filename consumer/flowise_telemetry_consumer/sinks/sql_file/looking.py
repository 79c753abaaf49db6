"""A database of one file, looked at before it is opened for writing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flowise_telemetry_consumer.sinks.file_place import look_at_place
from flowise_telemetry_consumer.sinks.sql_file.sink import DatabaseFileSink
from flowise_telemetry_transport.diagnosis.finding import Finding, ok

__all__ = ["look_at_database"]


def look_at_database(sink: DatabaseFileSink[Any], path: Path) -> Iterator[Finding]:
    """Yield what is found of the file's place and, if it is there, of what is in it. Raises as ``counts``."""
    place = list(look_at_place(path, sink.url))
    yield from place
    if path.is_file() and not any(each.state == "failed" for each in place):
        yield ok("sink", f"{sink.url} has {sum(sink.counts().values()):,} events")
