"""A sink of a package of its own: Arrow files in a folder, ``arrow:////absolute/folder``.

Small on purpose: one process writes, all ids are kept in memory, and there is neither progress nor a second set of
tables. What a sink owes is told by ``flowise_telemetry_consumer.sinks.Sink`` and tested by the contract suite.
"""

from __future__ import annotations

import fcntl
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, NoReturn

import polars as pl

from flowise_telemetry_consumer import SinkError, SinkInUseError, SinkUnavailableError
from flowise_telemetry_consumer.decoding.frames import column_of
from flowise_telemetry_consumer.sinks import Batch, SourceProgress, WriteResult
from flowise_telemetry_schemas import ConfigurationError, EventSchema, catalog
from flowise_telemetry_transport import TopicPartition

__all__ = ["ArrowSink", "open_arrow"]


def open_arrow(url: str) -> ArrowSink:
    """The sink of a URL. Nothing is touched yet; a URL is not repeated in a message, it may hold a password."""
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
        self._locks: dict[str, BinaryIO] = {}

    @property
    def url(self) -> str:
        """The address, for messages."""
        return f"arrow:///{self._folder}"

    def prepare(self, schemas: Iterable[EventSchema]) -> None:
        """Makes the folder and takes note of the events that there are; of several versions the newest counts."""
        for schema in [*self._schemas.values(), *schemas]:
            known = self._schemas.get(schema.event)
            if known is None or known.version < schema.version:
                self._schemas[schema.event] = schema
        try:
            self._folder.mkdir(exist_ok=True)
        except OSError as error:
            raise SinkError(f"{self.url} cannot be made: {error.strerror}") from error

    def write(self, batch: Batch) -> WriteResult:
        """Adds the events of a batch that are not there yet; when it returns, they survive a power cut."""
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
            # A full disk passes: the consumer waits and brings the same batch again.
            raise SinkUnavailableError(f"{self.url} cannot be written: {error.strerror}") from error
        return WriteResult(written, {event: frame.height - written[event] for event, frame in batch.frames.items()})

    def read(self, event: str, *, batch_rows: int = 10_000) -> Iterator[pl.DataFrame]:
        """The events of one kind, of the files that are there now."""
        schema = self._schemas.get(event) or catalog().latest(event)
        for file in self._files(event):
            frame = pl.read_ipc(file)
            # A column that came with a later version has the default of its field.
            columns = (
                frame[field.column]
                if field.column in frame.columns
                else column_of(field, [{}]).new_from_index(0, frame.height)
                for field in schema.fields
            )
            yield from pl.DataFrame(columns).iter_slices(batch_rows)

    def counts(self) -> dict[str, int]:
        """How many events of each kind there are."""
        return {
            event: sum(pl.scan_ipc(file).select(pl.len()).collect().item() for file in self._files(event))
            for event in self._schemas or catalog().events
        }

    def claim(
        self, source: str, partitions: Iterable[TopicPartition], *, description: str = ""
    ) -> Mapping[TopicPartition, int]:
        """Nothing: this sink keeps no progress, and who claims what does not matter to its one writer."""
        return {}

    def progress(self) -> list[SourceProgress]:
        """Nothing."""
        return []

    def lock(self, name: str) -> None:
        """Takes a lock that ends with the process."""
        if name in self._locks:
            return
        self._folder.mkdir(exist_ok=True)
        file = (self._folder / f"{name.encode().hex()[:200]}.lock").open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise SinkInUseError(f"{self.url}: another process has {name!r}") from error
        self._locks[name] = file

    def staging(self, name: str) -> NoReturn:
        """Raises ``SinkError``: there is no second set of tables."""
        raise SinkError(f"{self.url} cannot have tables beside the live ones")

    def promote(self, name: str) -> NoReturn:
        """Raises ``SinkError`` as ``staging`` does."""
        self.staging(name)

    def close(self) -> None:
        """Lets go of the locks and forgets the ids."""
        for file in self._locks.values():
            file.close()
        self._locks = {}
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
