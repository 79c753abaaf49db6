"""Events in a DuckDB file, one table for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.sinks.beside import checked_name
from flowise_telemetry_consumer.sinks.claims import PROGRESS_TABLE, Claims, sources_of
from flowise_telemetry_consumer.sinks.duckdb.database import Database
from flowise_telemetry_consumer.sinks.duckdb.progress import (
    advance,
    carry_claims,
    claim,
    make_progress_table,
    rows_of,
)
from flowise_telemetry_consumer.sinks.duckdb.tables import (
    columns,
    exchange,
    insert,
    make_table,
    quoted,
    rows_between,
)
from flowise_telemetry_consumer.sinks.file_lock import FileLocks
from flowise_telemetry_consumer.sinks.port import Batch, SourceProgress, WriteResult
from flowise_telemetry_consumer.sinks.rows import newest
from flowise_telemetry_schemas import EventSchema, catalog
from flowise_telemetry_transport.types import TopicPartition

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["DuckdbSink"]


class DuckdbSink:
    """Events in a DuckDB file: ``UUID``, ``TIMESTAMP`` (UTC), ``STRUCT`` and list columns.

    One process at a time may have the file open, and while it writes no other may read: that is DuckDB's way. Within
    this process any number of sinks may. Frames go in without being copied or turned into rows.
    """

    def __init__(self, path: Path, *, table_set: str = "") -> None:
        self._path = path
        # No event has two underscores in its name.
        self._prefix = f"{table_set}__" if table_set else ""
        self._progress_table = self._prefix + PROGRESS_TABLE
        self._url = f"duckdb:///{path}" + (f" (beside: {table_set})" if table_set else "")
        self._schemas: dict[str, EventSchema] = {}
        self._database = Database(path, url=self._url, on_open=self._make_tables)
        self._claims = Claims(self._url)
        self._locks = FileLocks(path.with_name(f"{self._prefix}{path.name}"), url=self._url)

    @property
    def url(self) -> str:
        """The address, and which tables when they are not the live ones; a file has no password."""
        return self._url

    def prepare(self, schemas: Iterable[EventSchema]) -> None:
        """Makes the file, the tables and the columns that are missing."""
        self._schemas |= newest([*self._schemas.values(), *schemas])
        with self._database.failures_told():
            # Makes the tables itself where it opens the file.
            was_open = self._database.is_open
            db = self._database.connection()
            if was_open:
                self._make_tables(db)

    def write(self, batch: Batch) -> WriteResult:
        """Adds the events of a batch that are not there yet, and moves its source on, in one transaction."""
        written: dict[str, int] = {}
        with self._database.failures_told():
            for event in sorted(batch.frames):
                if event not in self._schemas:
                    raise SinkError(f"{event} was not prepared in {self.url}", event=event)
            db = self._database.connection()
            with self._database.transaction(db):
                for step in self._claims.advances(batch):
                    if not advance(db, self._progress_table, batch.source, step):
                        raise self._claims.fenced(batch.source, step.partition)
                for event in sorted(batch.frames):
                    written[event] = insert(db, self._prefix + event, self._schemas[event], batch.frames[event])
            self._database.require_same_file()
        duplicates = {event: frame.height - written[event] for event, frame in batch.frames.items()}
        return WriteResult(written=written, duplicates=duplicates)

    def claim(
        self, source: str, partitions: Iterable[TopicPartition], *, description: str = ""
    ) -> Mapping[TopicPartition, int]:
        """Makes this sink the one that writes these partitions, in one transaction."""
        offsets: dict[TopicPartition, int] = {}
        epochs: dict[TopicPartition, int] = {}
        with self._database.failures_told():
            db = self._database.connection()
            with self._database.transaction(db):
                for partition in sorted(set(partitions)):
                    offset, epochs[partition] = claim(db, self._progress_table, source, partition, description)
                    if offset is not None:
                        offsets[partition] = offset
        self._claims.took(source, epochs)
        return offsets

    def progress(self) -> list[SourceProgress]:
        """How far each source has come."""
        with self._database.failures_told(), self._database.reading() as db:
            return sources_of(rows_of(db, self._progress_table))

    def lock(self, name: str) -> None:
        """Takes a lock: a file beside the database."""
        self._locks.take(name)

    def beside(self, name: str) -> DuckdbSink:
        """Tables in the same file, ``<name>__<event>``."""
        return DuckdbSink(self._path, table_set=self._prefix + checked_name(name))

    def swap(self, name: str) -> None:
        """Gives the tables each other's names. Views keep the name they read from, and so show the new rows."""
        other = self.beside(name)
        with self._database.failures_told():
            db = self._database.connection()
            with self._database.transaction(db):
                there = {event: schema for event, schema in self._known().items() if columns(db, other._prefix + event)}
                if not there:
                    raise SinkError(f"{other.url} has no tables: fill them first")
                for sink in (self, other):
                    make_progress_table(db, sink._progress_table)
                    for event, schema in there.items():
                        make_table(db, sink._prefix + event, schema)
                for event in there:
                    exchange(db, self._prefix + event, other._prefix + event)
                exchange(db, self._progress_table, other._progress_table)
                carry_claims(db, other._progress_table, self._progress_table)
            self._database.require_same_file()

    def read(self, event: str, *, batch_rows: int = 10_000) -> Iterator[pl.DataFrame]:
        """The events of one table, in the order in which they were added, as of the moment of the first frame."""
        schema = self._known().get(event) or catalog().latest(event)
        with self._database.failures_told(), self._database.reading() as db:
            table = self._prefix + event
            held = columns(db, table)
            missing = [field.column for field in schema.fields if field.column not in held]
            if missing:
                what = f"columns {', '.join(missing)} in the table {table}" if held else f"table {table}"
                raise SinkError(f"there are no {what} in {self.url}: a consumer makes them when it starts", event=event)
            ((rows,),) = db.execute(f"SELECT coalesce(max(rowid) + 1, 0) FROM {quoted(table)}").fetchall()  # noqa: S608 - a name of the schema
            for start in range(0, rows, batch_rows):
                frame = rows_between(db, table, schema, start, min(start + batch_rows, rows))
                if frame.height:
                    yield frame

    def counts(self) -> dict[str, int]:
        """The number of rows of each table, all as of one moment."""
        counts: dict[str, int] = {}
        with self._database.failures_told(), self._database.reading() as db:
            for event in sorted(self._known()):
                table = self._prefix + event
                if columns(db, table):
                    ((counts[event],),) = db.execute(f"SELECT count(*) FROM {quoted(table)}").fetchall()  # noqa: S608 - as above
        return counts

    def close(self) -> None:
        """Closes the file and lets go of the locks."""
        self._database.close()
        self._locks.release()

    def _known(self) -> Mapping[str, EventSchema]:
        return self._schemas or newest(catalog())

    def _make_tables(self, db: DuckDBPyConnection) -> None:
        with self._database.transaction(db):
            make_progress_table(db, self._progress_table)
            for event, schema in self._schemas.items():
                make_table(db, self._prefix + event, schema)
