"""A sink in a database of one file: a table per event, one for progress; staging tables have a prefix."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Generic, Self

import polars as pl

from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.sinks.account.port import Merged
from flowise_telemetry_consumer.sinks.account.tables import ACCOUNT_TABLES
from flowise_telemetry_consumer.sinks.claims import PROGRESS_TABLE, Claims, carried_offset, sources_of
from flowise_telemetry_consumer.sinks.erasures import ErasedIds, Erasure, delete_found
from flowise_telemetry_consumer.sinks.known_events import KnownEvents
from flowise_telemetry_consumer.sinks.local_files import FileLocks
from flowise_telemetry_consumer.sinks.own_tables import own_tables
from flowise_telemetry_consumer.sinks.port import Batch, SourceProgress, WriteResult, require_prepared
from flowise_telemetry_consumer.sinks.rows import newest, require_columns
from flowise_telemetry_consumer.sinks.sql_file.account import AccountTables
from flowise_telemetry_consumer.sinks.sql_file.database import C, DatabaseFile, quoted
from flowise_telemetry_consumer.sinks.sql_file.erasing import ErasingTables, Statements
from flowise_telemetry_consumer.sinks.sql_file.event_tables import EventTables
from flowise_telemetry_consumer.sinks.sql_file.progress_table import ProgressTable
from flowise_telemetry_consumer.sinks.sql_file.views import AnalystViews, ViewStatements
from flowise_telemetry_schemas import EventSchema, catalog
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["DatabaseFileSink"]


class DatabaseFileSink(ABC, Generic[C]):
    """A sink with all four roles; its four parts hold what differs between databases."""

    def __init__(
        self,
        path: Path,
        *,
        scheme: str,
        table_set: str,
        tables: EventTables[C],
        progress: ProgressTable[C],
        erasing: Statements[C],
        views: ViewStatements[C],
    ) -> None:
        self._path = path
        # No event has two underscores in its name, so prefix and name cannot be confused.
        self._prefix = f"{table_set}__" if table_set else ""
        self._progress_table = self._prefix + PROGRESS_TABLE
        # This text must never change: the ids of replays are hashes of it (``ReplayRequest.run_id``).
        self._url = f"{scheme}:///{path}" + (f" (beside: {table_set})" if table_set else "")
        self._schemas = KnownEvents()
        self._tables = tables
        self._progress = progress
        self._account = AccountTables(tables, self._prefix)
        self._database = self._open_database()
        self._erasing = ErasingTables(self._database, erasing)
        self._views = AnalystViews(self._database, tables, views, self._url)
        self._claims = Claims(self._url)
        self._locks = FileLocks(path.with_name(f"{self._prefix}{path.name}"), url=self._url)

    @abstractmethod
    def _open_database(self) -> DatabaseFile[C]:
        """Return the file without touching it; its ``on_open`` is ``_make_tables``."""

    @abstractmethod
    def staging(self, name: str) -> Self:
        """Return a sink whose tables are ``<name>__<event>`` in the same file."""

    @property
    def url(self) -> str:
        """The address, with the name of staging tables; a file has no password."""
        return self._url

    def know(self, schemas: Iterable[EventSchema]) -> None:
        """Take these for what the sink may hold, where it is not prepared."""
        self._schemas.tell(schemas)

    def unknown_tables(self) -> list[str]:
        """Return the tables of events that it does not know."""
        with self._database.translate_errors(), self._database.reading() as db:
            return self._schemas.strangers(self._erasing.tables(db))

    def prepare(self, schemas: Iterable[EventSchema]) -> None:
        """Create the missing file, tables and columns."""
        self._schemas.add(schemas)
        with self._database.translate_errors():
            # Opening the file creates the tables.
            was_open = self._database.is_open
            db = self._database.connection()
            if was_open:
                self._make_tables(db)

    def write(self, batch: Batch) -> WriteResult:
        """Add the new events and advance the source, in one transaction."""
        require_prepared(self, batch, self._schemas)
        added: dict[str, pl.DataFrame] = {}
        with self._database.translate_errors():
            db = self._database.connection()
            with self._database.transaction(db):
                # First: nobody can claim meanwhile, and a fenced writer need not write.
                with own_tables(), self._database.explain_errors():
                    self._advance(db, batch)
                kept, erased = self._erasing.current(db).keep(batch.frames)
                for event in sorted(kept):
                    table = self._prefix + event
                    added[event] = self._tables.insert(db, table, self._schemas[event], kept[event])
                with own_tables(), self._database.explain_errors():
                    self._account.add(db, added, batch.letters)
            self._database.require_same_file()
        return WriteResult.of(batch, {event: frame.height for event, frame in added.items()}, erased)

    def _advance(self, db: C, batch: Batch) -> None:
        for step in self._claims.advances(batch):
            if not self._progress.advance(db, self._progress_table, batch.source, step):
                stored = self._progress.stored_of(db, self._progress_table, batch.source)
                self._claims.require(batch, stored)
                raise self._claims.fenced(batch.source, step.partition)

    def claim(
        self, source: str, partitions: Iterable[TopicPartition], *, description: str = ""
    ) -> Mapping[TopicPartition, int]:
        """Claim partitions, in one transaction."""
        offsets: dict[TopicPartition, int] = {}
        epochs: dict[TopicPartition, int] = {}
        with self._database.translate_errors():
            db = self._database.connection()
            with self._database.transaction(db):
                for partition in sorted(set(partitions)):
                    offset, epochs[partition] = self._progress.claim(
                        db, self._progress_table, source, partition, description
                    )
                    if offset is not None:
                        offsets[partition] = offset
        self._claims.record(source, epochs)
        return offsets

    def progress(self) -> list[SourceProgress]:
        """Return the progress of each source."""
        with self._database.translate_errors(), self._database.reading() as db:
            return sources_of(self._progress.rows_of(db, self._progress_table))

    def lock(self, name: str) -> None:
        """Acquire a lock: a file beside the database."""
        self._locks.take(name)

    def promote(self, name: str) -> None:
        """Exchange the names of the tables. Views read by name, and so show the new rows."""
        other = self.staging(name)
        with self._database.translate_errors():
            with self._database.reading() as db:
                held = self._tables.all_columns(db)
                there = {event: its for event, its in self._schemas.all().items() if other._prefix + event in held}
            if not there:
                raise SinkError(f"{other.url} has no tables: fill them first")
            db = self._database.connection()
            with self._database.transaction(db):
                for sink in (self, other):
                    sink._make_event_tables(db, there)
                    sink._account.make(db, there)
                for table in (*there, *ACCOUNT_TABLES):
                    self._tables.exchange(db, self._prefix + table, other._prefix + table)
                self._tables.exchange(db, self._progress_table, other._progress_table)
                # So that running consumers keep writing, and find out what the new tables lack.
                incoming = list(self._progress.rows_of(db, self._progress_table))
                for row in list(self._progress.rows_of(db, other._progress_table)):
                    offset = carried_offset(row, incoming)
                    self._progress.carry(db, other._progress_table, self._progress_table, row, offset)
            self._database.require_same_file()
            self._make_views(db, there.values())

    def read(self, event: str, *, batch_rows: int = 10_000) -> Iterator[pl.DataFrame]:
        """Yield the rows of one table, over a separate connection that sees the state at its start."""
        schema = self._schemas.find(event)
        with self._database.translate_errors(), self._database.reading() as db:
            table = self._prefix + event
            require_columns(self.url, table, schema, self._tables.columns(db, table))
            yield from self._tables.frames_of(db, table, schema, batch_rows=batch_rows)

    def account(self, table: str, *, batch_rows: int = 10_000) -> Iterator[pl.DataFrame]:
        """Yield the rows of one table of the account."""
        with self._database.translate_errors(), self._database.reading() as db:
            yield from self._account.read(db, table, batch_rows=batch_rows)

    def merge_account(self) -> Merged:
        """Merge the rows of streams, in one transaction."""
        with self._database.translate_errors():
            with self._database.reading():
                pass  # which makes no file
            db = self._database.connection()
            with self._database.transaction(db):
                merged = self._account.merge(db)
            self._database.require_same_file()
        return merged

    def counts(self) -> dict[str, int]:
        """Return the number of rows of each table, all as of one moment."""
        counts: dict[str, int] = {}
        with self._database.translate_errors(), self._database.reading() as db:
            held = self._tables.all_columns(db)
            for event in sorted(self._schemas.all()):
                table = self._prefix + event
                if table in held:
                    ((counts[event],),) = db.execute(f"SELECT count(*) FROM {quoted(table)}").fetchall()  # noqa: S608 - a name of the schema
        return counts

    def prune(self, before_ms: int, *, dry_run: bool = False) -> Iterator[Mapping[str, int]]:
        """Delete old events, a transaction for each step. The file keeps its size, and new events use the space."""
        with self._database.translate_errors(), self._database.reading() as db:
            held = self._tables.all_columns(db)
            there = [event for event in sorted(self._schemas.all()) if self._prefix + event in held]
            counted = there if dry_run else ()
            old = {event: self._tables.count_before(db, self._prefix + event, before_ms) for event in counted}
        if dry_run:
            yield {event: count for event, count in old.items() if count}
            return
        for event in there:
            while deleted := self._delete_before(event, before_ms):
                yield {event: deleted}

    def _delete_before(self, event: str, before_ms: int) -> int:
        with self._database.translate_errors():
            db = self._database.connection()
            with self._database.transaction(db):
                deleted = self._tables.delete_before(db, self._prefix + event, before_ms)
            self._database.require_same_file()
        return deleted

    def erase(self, ids: ErasedIds, *, dry_run: bool = False) -> Iterator[Mapping[str, int]]:
        """Store the hashes, then delete rows of all sets of tables, a transaction for each step."""
        events = sorted(self._schemas.all())
        if dry_run:
            yield {table: len(there) for table, there in self._erasing.found(ids, events).items()}
            return
        with self._database.translate_errors(), self._database.reading():
            pass  # a file that is not there is not made
        self._erasing.add(ids)
        yield from delete_found(
            lambda: [(found, len(found[1])) for found in self._erasing.found(ids, events).items()],
            lambda found: self._erasing.delete(*found),
            self.url,
        )
        self._erasing.delete_account(ids)
        self._erasing.settle()

    def erasures(self) -> list[Erasure]:
        """Return the hashes."""
        return self._erasing.rows()

    @abstractmethod
    def remains(self) -> str:
        """Return what of erased rows is still in the file."""

    def close(self) -> None:
        """Close the file and release the locks."""
        self._database.close()
        self._locks.release()

    def _make_tables(self, db: C) -> None:
        with self._database.transaction(db):
            self._make_event_tables(db, self._schemas)
            self._account.make(db, {**newest(catalog()), **self._schemas})
        self._make_views(db, self._schemas.values())

    def _make_event_tables(self, db: C, schemas: Mapping[str, EventSchema]) -> None:
        self._progress.make_progress_table(db, self._progress_table)
        held = self._tables.all_columns(db)
        for event, schema in schemas.items():
            table = self._prefix + event
            self._tables.make_table(db, table, schema, held.get(table, frozenset()))

    def _make_views(self, db: C, schemas: Iterable[EventSchema]) -> None:
        if not self._prefix:
            self._views.make(db, schemas)
