"""A database of one file, looked at from outside.

Opened, even for reading, an SQLite file in WAL mode gets files beside it, of whoever opens it; and while a DuckDB file
is open, no consumer can open it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from flowise_telemetry_consumer.sinks.file_place import look_at_place
from flowise_telemetry_transport.diagnosis.finding import Finding, failed, ok

__all__ = ["look_at_database"]


def look_at_database(path: Path, url: str, *, magic: bytes, at: int, otherwise: str) -> Iterator[Finding]:
    """Yield what is found of the file's place; a file without the ``magic`` bytes is no database, ``otherwise``."""
    place = list(look_at_place(path, url))
    yield from place
    if not path.is_file() or any(each.state == "failed" for each in place):
        return
    with path.open("rb") as file:
        begin = file.read(at + len(magic))
    if begin and begin[at:] != magic:  # an empty file is made one
        yield failed("sink", f"{url} {otherwise}")
    else:
        yield ok("sink", f"{url} is there, {path.stat().st_size / 1_048_576:,.0f} MB")
