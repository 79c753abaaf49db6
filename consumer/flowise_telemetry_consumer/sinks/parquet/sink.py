"""Events as a data set of Parquet files, partitioned by event and date."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterable, Iterator, Mapping

import polars as pl

from flowise_telemetry_consumer.errors import SinkError, SinkInUseError, SinkUnavailableError
from flowise_telemetry_consumer.sinks.event_ids import first_of_each
from flowise_telemetry_consumer.sinks.parquet.compaction import Compacted, compact, finish_exchanges
from flowise_telemetry_consumer.sinks.parquet.data_file import DataFile, origin_of
from flowise_telemetry_consumer.sinks.parquet.known_ids import KnownIds
from flowise_telemetry_consumer.sinks.parquet.listing import exchanges, list_data
from flowise_telemetry_consumer.sinks.parquet.progress import Progress
from flowise_telemetry_consumer.sinks.parquet.rows import encoded, null_column, rows_of
from flowise_telemetry_consumer.sinks.parquet.storage import Storage, collecting
from flowise_telemetry_consumer.sinks.parquet.turns import Turns
from flowise_telemetry_consumer.sinks.port import Batch, SourceProgress, WriteResult, require_prepared
from flowise_telemetry_consumer.sinks.rows import newest
from flowise_telemetry_schemas import EventSchema, catalog
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["ParquetSink"]

_COMPACTING = "compact"
_LOOK_UP_TRIES = 3


class ParquetSink:
    """Events in files ``event=<event>/date=<date>/….parquet`` that other programs read as they are.

    A batch is one file per event and day. Each file is written whole or not at all; of an interrupted batch some may
    exist, and the next delivery of its records adds the others. Ids are strings, times UTC with milliseconds, graphs
    nested. Consumers of one group write side by side, each the partitions that it claimed; different sources, and sinks
    that claimed nothing, write one after the other.
    """

    def __init__(self, storage: Storage, *, known_ids: KnownIds | None = None) -> None:
        self._storage = storage
        self._schemas: dict[str, EventSchema] = {}
        self._known = known_ids or KnownIds(storage)
        self._progress = Progress(storage)
        self._turns = Turns(storage)
        # Without a claim, this sink shares its turn with no other, not even of the same source.
        self._unclaimed = f"sink {secrets.token_hex(8)}"
        self._listed_in_turn: str | None = None
        self._written: dict[tuple[str, TopicPartition], int] = {}

    @property
    def url(self) -> str:
        """The address; it holds no secret."""
        return self._storage.url

    def prepare(self, schemas: Iterable[EventSchema]) -> None:
        """Create the folder, and finish a compaction that was killed."""
        self._schemas |= newest([*self._schemas.values(), *schemas])
        with self._storage.translate_errors():
            self._storage.open()
            if exchanges(self._storage):
                self._finish_compaction()

    def write(self, batch: Batch) -> WriteResult:
        """Add the events that are not there yet."""
        require_prepared(self, batch, self._schemas)
        for event, frame in batch.frames.items():
            if column := null_column(self._schemas[event], frame):
                raise SinkError(f"{self.url} refused: {event}.{column} is null", event=event)
        with self._storage.translate_errors():
            if self._storage.open():
                self._known.forget()
                self._listed_in_turn = None
                raise SinkUnavailableError(
                    f"{self.url} was moved or removed while it was open; it will be created again"
                )
            writer = f"source {batch.source}" if self._progress.is_claimed(batch) else self._unclaimed
            written = None
            with self._storage.publishing():
                if turn := self._turns.current(writer):
                    written = self._add(batch, turn)
            if written is None:
                with self._storage.claiming():
                    written = self._add(batch, self._turns.take(writer))
        self._written |= {(batch.source, partition): offset for partition, offset in batch.offsets.items()}
        duplicates = {event: frame.height - written[event] for event, frame in batch.frames.items()}
        return WriteResult(written=written, duplicates=duplicates)

    def claim(
        self, source: str, partitions: Iterable[TopicPartition], *, description: str = ""
    ) -> Mapping[TopicPartition, int]:
        """Claim partitions, and look up what others wrote of them."""
        with self._storage.translate_errors():
            self._storage.open()
            offsets = self._progress.claim(source, partitions, description)
            self._listed_in_turn = None
        self._written |= {(source, partition): offset for partition, offset in offsets.items()}
        return offsets

    def progress(self) -> list[SourceProgress]:
        """Return the progress of each source."""
        with self._storage.translate_errors():
            return self._progress.sources()

    def lock(self, name: str) -> None:
        """Acquire a lock."""
        with self._storage.translate_errors():
            self._storage.open()
            self._storage.lock(name)

    def read(self, event: str, *, batch_rows: int = 10_000) -> Iterator[pl.DataFrame]:
        """Yield the rows of one event, from the files that exist at the start, day by day.

        In a folder a compaction waits for readers. Raises ``SinkUnavailableError`` where one removed a file.
        """
        schema = self._schemas.get(event) or catalog().latest(event)
        with self._storage.translate_errors(), self._storage.reading():
            for file in list_data(self._storage, event):
                try:
                    with collecting():
                        yield from rows_of(schema, self._storage.scan([file.path]), batch_rows=batch_rows)
                except FileNotFoundError as error:
                    raise SinkUnavailableError(f"{self.url} was compacted while it was read: read it again") from error

    def counts(self) -> dict[str, int]:
        """Return the number of rows by event."""
        counts = dict.fromkeys(sorted(self._schemas or newest(catalog())), 0)
        with self._storage.translate_errors(), self._storage.reading():
            for file in list_data(self._storage):
                if file.event in counts:
                    rows = file.rows
                    if rows is None:
                        rows = self._storage.scan([file.path]).select(pl.len()).collect().item()
                    counts[file.event] += rows
        return counts

    def compact(self) -> Compacted:
        """Merge small files. Raises ``SinkInUseError`` where another compaction runs."""
        with self._storage.translate_errors():
            self._storage.open()
            with self._storage.locked(_COMPACTING):
                return compact(self._storage)

    def close(self) -> None:
        """Release the locks and drop the cached ids."""
        self._storage.release()
        self._known.forget()
        self._listed_in_turn = None

    def _add(self, batch: Batch, turn: str) -> dict[str, int]:
        steps = self._progress.steps(batch)
        self._take_stock(batch, turn)
        rows = {event: self._unknown(event, batch.frames[event]) for event in sorted(batch.frames)}
        self._publish(self._files(batch, rows))
        self._progress.move(batch.source, steps)
        return {event: frame.height for event, frame in rows.items()}

    def _take_stock(self, batch: Batch, turn: str) -> None:
        """List the files where others may have written events of this batch: a new turn, or a partition new to us."""
        is_new = any((batch.source, partition) not in self._written for partition in batch.offsets)
        if turn != self._listed_in_turn or is_new:
            self._known.refresh()
            self._listed_in_turn = turn

    def _unknown(self, event: str, frame: pl.DataFrame) -> pl.DataFrame:
        rows = first_of_each(frame)
        for _ in range(_LOOK_UP_TRIES):
            try:
                with collecting():
                    known = self._known.among(event, rows["event_id"])
            except FileNotFoundError:
                # Compacted since it was listed.
                self._known.refresh()
            else:
                return rows.filter(~known) if known.any() else rows
        raise SinkUnavailableError(f"{self.url}: files are removed while they are read")

    def _files(self, batch: Batch, rows: Mapping[str, pl.DataFrame]) -> list[tuple[DataFile, pl.Series, bytes]]:
        starts = {
            partition: start
            for partition in batch.offsets
            if (start := self._written.get((batch.source, partition))) is not None
        }
        origin = origin_of(starts, batch.offsets)
        files = []
        for event, frame in rows.items():
            for date, part in _by_date(frame):
                file = DataFile.of(event, date, origin, part["event_id"])
                files.append((file, part["event_id"], encoded(part)))
        return files

    def _publish(self, files: Iterable[tuple[DataFile, pl.Series, bytes]]) -> None:
        files = list(files)
        try:
            self._storage.put([(file.path, data) for file, _, data in files])
        except BaseException:
            # It is unknown which of them were written.
            self._listed_in_turn = None
            raise
        for file, event_ids, _ in files:
            self._known.added(file, event_ids)

    def _finish_compaction(self) -> None:
        # In use: it is still running.
        with contextlib.suppress(SinkInUseError), self._storage.locked(_COMPACTING):
            finish_exchanges(self._storage)


def _by_date(frame: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    if frame.is_empty():
        return
    dates = frame["occurred_at"].dt.date()
    if dates.min() == dates.max():
        yield str(dates[0]), frame
        return
    for date in dates.unique().sort():
        yield str(date), frame.filter(dates == date)
