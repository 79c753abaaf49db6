"""From a sink to the archive that it is."""

from __future__ import annotations

from typing import Protocol

from flowise_telemetry_consumer.archives.file_archive import FileArchive
from flowise_telemetry_consumer.archives.portion import Archive, ReadableArchive
from flowise_telemetry_consumer.archives.text_file import STANDARD_INPUT
from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.sinks.jsonl import JsonLinesFile, JsonLinesStream
from flowise_telemetry_consumer.sinks.port import Readable
from flowise_telemetry_consumer.sinks.rows import newest
from flowise_telemetry_schemas import Catalog

__all__ = ["Source", "archive_of"]


class Source(Protocol):
    """A place that is read: a sink, a table, a folder that ``export`` wrote."""

    @property
    def url(self) -> str:
        """The address, for messages: its password is masked."""

    def close(self) -> None:
        """Release files and connections."""


def archive_of(source: Source, catalog: Catalog) -> Archive:
    """Return the archive of a place that a consumer wrote to. Raises ``SinkError`` if it cannot be read back."""
    if isinstance(source, JsonLinesFile):
        return FileArchive([str(source.path)], newest(catalog))
    if isinstance(source, JsonLinesStream):
        return FileArchive([STANDARD_INPUT], newest(catalog))
    if not isinstance(source, Readable):
        raise SinkError(f"{source.url} cannot be read back: name the place that a consumer wrote to")
    return ReadableArchive(source, source.url, newest(catalog))
