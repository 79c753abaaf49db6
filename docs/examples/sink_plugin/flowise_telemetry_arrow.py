"""A sink in a package of its own: Arrow files in a folder, ``arrow:////absolute/folder``.

Small on purpose: one process may write (nothing keeps a second one out), and all ids are kept in memory. The sink can
be read back; it keeps no progress and has no staging tables, so it has no methods for them. The Protocols of
``flowise_telemetry_consumer.sinks`` say what each method promises, and the contract suite tests it.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl

from flowise_telemetry_consumer import SinkError, SinkUnavailableError
from flowise_telemetry_consumer.decoding.frames import column_of
from flowise_telemetry_consumer.sinks import Batch, Readable, SinkKind, WriteResult
from flowise_telemetry_schemas import ConfigurationError, EventSchema, catalog

__all__ = ["ARROW", "ArrowSink", "open_arrow"]


def open_arrow(url: str) -> ArrowSink:
    """Return the sink of a URL. Touches nothing yet; never repeats the URL in a message, as it may hold a password."""
    folder = url.removeprefix("arrow:///")
    if folder == url or not folder:
        raise ConfigurationError("an arrow sink is arrow:///relative/folder or arrow:////absolute/folder")
    return ArrowSink(Path(folder))


class ArrowSink:
    """Events in files ``<event>.<number>.arrow``, one for each event of a batch."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._schemas: dict[str, EventSchema] = {}
        self._ids: dict[str, set[str]] | None = None

    @property
    def url(self) -> str:
        """The address, for messages."""
        return f"arrow:///{self._folder}"

    def prepare(self, schemas: Iterable[EventSchema]) -> None:
        """Create the folder and note the schemas; of several versions of an event the newest counts."""
        for schema in [*self._schemas.values(), *schemas]:
            known = self._schemas.get(schema.event)
            if known is None or known.version < schema.version:
                self._schemas[schema.event] = schema
        try:
            self._folder.mkdir(exist_ok=True)
        except OSError as error:
            raise SinkError(f"{self.url} cannot be created: {error.strerror}") from error

    def write(self, batch: Batch) -> WriteResult:
        """Add the events that are not there yet. When this returns, they survive a power cut."""
        for event in batch.frames:
            if event not in self._schemas:
                raise SinkError(f"{event} was not prepared in {self.url}", event=event)
        written = {}
        try:
            for event, frame in batch.frames.items():
                ids = self._known(event)
                fresh = frame.unique("event_id", keep="first", maintain_order=True)
                fresh = fresh.filter(~fresh["event_id"].is_in(list(ids)))
                if fresh.height:
                    self._add_file(event, fresh)
                    ids.update(fresh["event_id"])
                written[event] = fresh.height
        except OSError as error:
            # A full disk is an outage: the consumer waits and writes the same batch again.
            raise SinkUnavailableError(f"{self.url} cannot be written: {error.strerror}") from error
        return WriteResult(written, {event: frame.height - written[event] for event, frame in batch.frames.items()})

    def read(self, event: str, *, batch_rows: int = 10_000) -> Iterator[pl.DataFrame]:
        """Yield the rows of one event from the files that are there now."""
        schema = self._schemas.get(event) or catalog().latest(event)
        for file in self._files(event):
            frame = pl.read_ipc(file)
            # A column that a later version of the schema added has the default of its field.
            columns = (
                frame[field.column]
                if field.column in frame.columns
                else column_of(field, [{}]).new_from_index(0, frame.height)
                for field in schema.fields
            )
            yield from pl.DataFrame(columns).iter_slices(batch_rows)

    def counts(self) -> dict[str, int]:
        """Return the number of rows by event."""
        return {
            event: sum(pl.scan_ipc(file).select(pl.len()).collect().item() for file in self._files(event))
            for event in self._schemas or catalog().names
        }

    def close(self) -> None:
        """Forget the ids."""
        self._ids = None

    def _known(self, event: str) -> set[str]:
        if self._ids is None:
            self._ids = {}
        if event not in self._ids:
            columns = (pl.read_ipc(file, columns=["event_id"])["event_id"] for file in self._files(event))
            self._ids[event] = {event_id for column in columns for event_id in column}
        return self._ids[event]

    def _files(self, event: str) -> list[Path]:
        return sorted(self._folder.glob(f"{event}.*.arrow"))

    def _add_file(self, event: str, frame: pl.DataFrame) -> None:
        aside = self._folder / f"{event}.aside"
        with aside.open("wb") as file:
            frame.write_ipc(file)
            file.flush()
            os.fsync(file.fileno())
        free = (self._folder / f"{event}.{number:09}.arrow" for number in itertools.count(len(self._files(event))))
        aside.rename(next(path for path in free if not path.exists()))
        folder = os.open(self._folder, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


ARROW = SinkKind(
    scheme="arrow",
    open=open_arrow,
    example="arrow:///folder",
    writers="one",
    roles=frozenset({Readable}),
)
"""The entry point's value: what the scheme's sinks can do."""
