"""From a sink to the archive that it is."""

from __future__ import annotations

from flowise_telemetry_consumer.archives.file_archive import FileArchive
from flowise_telemetry_consumer.archives.portion import Archive, ReadableArchive
from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.sinks.jsonl import JsonLinesFile
from flowise_telemetry_consumer.sinks.port import Readable, Sink
from flowise_telemetry_consumer.sinks.rows import newest
from flowise_telemetry_schemas import Catalog

__all__ = ["archive_of"]


def archive_of(sink: Sink, catalog: Catalog) -> Archive:
    """Return the archive of a sink that a consumer wrote to. Raises ``SinkError`` if it cannot be read back."""
    if isinstance(sink, JsonLinesFile):
        return FileArchive([str(sink.path)], newest(catalog))
    if not isinstance(sink, Readable):
        raise SinkError(f"{sink.url} cannot be read back: name the place that a consumer wrote to")
    return ReadableArchive(sink, sink.url, newest(catalog))
