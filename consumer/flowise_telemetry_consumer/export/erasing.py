"""An export that is written anew without the rows of erased ids, and exchanged whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import polars as pl

from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.export.exported import ExportedFolder
from flowise_telemetry_consumer.export.loop import export_events
from flowise_telemetry_consumer.export.manifest import MANIFEST, Manifest
from flowise_telemetry_consumer.sinks.erasures import ErasedIds
from flowise_telemetry_consumer.sinks.port import Batch, WriteResult
from flowise_telemetry_schemas import Catalog, EventSchema

__all__ = ["erase_from_export"]


def erase_from_export(folder: Path, catalog: Catalog, ids: ErasedIds, *, dry_run: bool = False) -> Mapping[str, int]:
    """Return how many rows of each event have one of the ids, and write the export anew without them.

    The new one has a manifest of its own, whose counts are those of its files; a kill leaves the old one whole. Raises
    ``SinkError`` for a folder that is no export.
    """
    manifest = Manifest.of(folder)
    if manifest is None:
        raise SinkError(f"{folder} holds no export that was finished ({MANIFEST} is missing)")
    source = _Without(ExportedFolder(folder, catalog), ids, manifest.source)
    found: Counter[str] = Counter()
    for event in source.counts():
        for frame in source.whole.read(event):
            found[event] += int(ids.rows_of(frame).sum())
    if found.total() and not dry_run:
        export_events(
            source, folder, catalog, file_format=manifest.file_format, since_ms=manifest.since_ms, overwrite=True
        )
    return {event: count for event, count in sorted(found.items()) if count}


class _Without:
    """An export as a source, without the rows of some ids; it tells the address from which it was made."""

    def __init__(self, whole: ExportedFolder, ids: ErasedIds, url: str) -> None:
        self.whole = whole
        self.url = url
        self._ids = ids

    def counts(self) -> dict[str, int]:
        """Return the number of rows by event, erased ones included."""
        return self.whole.counts()

    def read(self, event: str, *, batch_rows: int = 10_000) -> Iterator[pl.DataFrame]:
        """Yield the rows of one event that stay."""
        for frame in self.whole.read(event, batch_rows=batch_rows):
            yield frame.filter(~self._ids.rows_of(frame))

    def prepare(self, schemas: Iterable[EventSchema]) -> None:
        """Do nothing: it is read only."""

    def write(self, batch: Batch) -> WriteResult:
        """Raise: it is read only."""
        raise SinkError(f"{self.url} is read only")

    def close(self) -> None:
        """Do nothing."""
