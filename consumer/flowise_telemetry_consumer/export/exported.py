"""A folder that ``export`` wrote, read back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from flowise_telemetry_consumer.errors import SinkError, SnapshotGoneError
from flowise_telemetry_consumer.export.formats import decoded, in_pieces
from flowise_telemetry_consumer.export.manifest import MANIFEST, Manifest
from flowise_telemetry_consumer.sinks.local_files import os_failure
from flowise_telemetry_consumer.sinks.row_files import RowFile, rows_of_files
from flowise_telemetry_schemas import Catalog

__all__ = ["ExportedFolder"]


class ExportedFolder:
    """An export as a source: ``Readable``, and always in the same order. It is read as its manifest tells."""

    def __init__(self, folder: Path, catalog: Catalog) -> None:
        self._folder = folder
        self._catalog = catalog
        self._manifest: Manifest | None = None

    @property
    def url(self) -> str:
        """The folder."""
        return str(self._folder)

    @property
    def name(self) -> str:
        """The id of the export."""
        return self._read_manifest().id

    def snapshot(self, name: str = "") -> ExportedFolder:
        """Return the export; it does not change. Raises ``SnapshotGoneError`` if it is not the one of this name."""
        self._manifest = None
        if name not in ("", self.name):
            raise SnapshotGoneError(f"{self.url} holds another export than before: read it from the beginning")
        return self

    def counts(self) -> dict[str, int]:
        """Return the number of rows by event. Raises ``SinkError`` where a file is missing or has another size."""
        manifest = self._read_manifest()
        for event, files in manifest.events.items():
            for file in files:
                path = self._folder / event / file.path
                with self._translate_errors(path):
                    if path.stat().st_size != file.size_bytes:
                        raise SinkError(f"{path} is not as it was exported: copy it again")
        return manifest.counts()

    def read(self, event: str, *, start_row: int = 0, batch_rows: int = 10_000) -> Iterator[pl.DataFrame]:
        """Yield the rows of one event."""
        files = self._read_manifest().events.get(event)
        if files is None:
            raise SinkError(f"{self.url} has no {event}: it was not exported", event=event)
        schema = self._catalog.latest(event)
        below = self._folder / event
        with self._translate_errors(below):
            yield from rows_of_files(
                [RowFile(file.path, file.size_bytes, file.rows) for file in files],
                small=lambda paths: decoded(schema, [below / path for path in paths]),
                large=lambda path: in_pieces(schema, below / path, batch_rows=batch_rows),
                start_row=start_row,
                batch_rows=batch_rows,
            )

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def _read_manifest(self) -> Manifest:
        if self._manifest is None:
            with self._translate_errors(self._folder):
                self._manifest = Manifest.of(self._folder)
        if self._manifest is None:
            raise SinkError(f"{self.url} holds no Delta table and no export that was finished ({MANIFEST} is missing)")
        return self._manifest

    @contextmanager
    def _translate_errors(self, place: Path) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise SinkError(f"{error.filename or place} is missing: copy the export again") from error
        except pl.exceptions.PolarsError as error:
            # Its text can hold values.
            raise SinkError(f"{place} holds a file that cannot be read: copy the export again") from error
        except OSError as error:
            raise os_failure(error, self.url) from error
