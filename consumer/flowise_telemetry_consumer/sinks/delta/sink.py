"""Events as Delta tables, one for each event, that other engines read as they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Self

import polars as pl

from flowise_telemetry_consumer.errors import SinkError, SinkUnavailableError
from flowise_telemetry_consumer.sinks.account.letters import with_letters
from flowise_telemetry_consumer.sinks.account.tables import STREAMS_TABLE
from flowise_telemetry_consumer.sinks.claims import PROGRESS_TABLE
from flowise_telemetry_consumer.sinks.delta.account import account_rows, account_schemas, filed_before
from flowise_telemetry_consumer.sinks.delta.compaction import Compacted, compact_and_vacuum, vacuum
from flowise_telemetry_consumer.sinks.delta.data_file import origin_of
from flowise_telemetry_consumer.sinks.delta.erasing import ErasingLake, KeptErasures
from flowise_telemetry_consumer.sinks.delta.event_table import EventTable
from flowise_telemetry_consumer.sinks.delta.known_ids import MAX_CACHED_IDS
from flowise_telemetry_consumer.sinks.delta.progress import Progress, State
from flowise_telemetry_consumer.sinks.delta.promote import begin, finish_described
from flowise_telemetry_consumer.sinks.delta.pruning import prune_table
from flowise_telemetry_consumer.sinks.delta.snapshot import DeltaSnapshot, earlier_tables
from flowise_telemetry_consumer.sinks.delta.store import Store
from flowise_telemetry_consumer.sinks.delta.visible import visible_tables, warn_of_a_copy
from flowise_telemetry_consumer.sinks.known_events import KnownEvents
from flowise_telemetry_consumer.sinks.port import Batch, SourceProgress, WriteResult, require_prepared, staging_name
from flowise_telemetry_consumer.sinks.rows import require_values
from flowise_telemetry_schemas import EventSchema
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["DeltaSink"]

_WRITE_TRIES = 20


class DeltaSink(ErasingLake):
    """Events in tables ``<event>``, partitioned by ``date``, and ``flowise_telemetry_progress`` beside them.

    A batch is a commit for each of its events and last one of the progress table, which tells up to which version each
    event table counts. Whoever commits does so right after the state in which it looked for ids, or looks again:
    consumers of one group, replays and sinks that claimed nothing write side by side. What a kill left half done is
    not shown by ``read`` and ``counts``, and the next delivery completes it.
    """

    def __init__(self, store: Store, *, table_set: str = "", max_cached_ids: int = MAX_CACHED_IDS) -> None:
        self._store = store
        # No event has two underscores in its name.
        self._prefix = f"{table_set}__" if table_set else ""
        self._url = store.url + (f" (beside: {table_set})" if table_set else "")
        self._max_cached_ids = max_cached_ids
        self._schemas = KnownEvents()
        self._tables: dict[str, EventTable] = {}
        self._progress = Progress(store, self._prefix, self._url)
        self._erasures = KeptErasures(store)
        self._written: dict[tuple[str, TopicPartition], int] = {}
        self._exchanges = 0

    @property
    def url(self) -> str:
        """The address, and which tables when they are not the live ones; it holds no secret."""
        return self._url

    def prepare(self, schemas: Iterable[EventSchema]) -> None:
        """Create the tables and the columns that are missing, and finish a promotion that was killed."""
        self._schemas.add(schemas)
        with self._store.translate_errors():
            if self._store.open():
                self._forget()
            self._prepare()

    def write(self, batch: Batch) -> WriteResult:
        """Add the events of a batch that are not there yet, then record how far its source is."""
        require_prepared(self, batch, self._schemas)
        for event, frame in batch.frames.items():
            require_values(self._url, self._schemas[event], frame)
        with self._store.translate_errors():
            if self._store.open():
                self._forget()
                self._prepare()
                raise SinkUnavailableError(f"{self._url} was moved or removed while it was open; it is made anew")
            self._store.renew_locks()
            whole = with_letters(batch)
            written = dict.fromkeys(whole.frames, 0)
            for _ in range(_WRITE_TRIES):
                exchanges = self._settled().exchanges
                self._progress.require_claims(batch)
                kept, erased = self._erasures.current().keep(whole.frames)
                if self._add(replace(whole, frames=kept), exchanges, written):
                    break
            else:
                raise SinkUnavailableError(f"{self._url}: its tables are promoted, or erased from, again and again")
        self._written |= {(batch.source, partition): offset for partition, offset in batch.offsets.items()}
        # Rows that were added before and after a promotion of meanwhile are counted once, those erased meanwhile too.
        most = {event: min(written[event], frame.height) for event, frame in kept.items()}
        return WriteResult.of(batch, most, erased)

    def claim(
        self, source: str, partitions: Iterable[TopicPartition], *, description: str = ""
    ) -> Mapping[TopicPartition, int]:
        """Make this sink the only writer of these partitions: first in the progress, then by a fence in each table."""
        with self._store.translate_errors():
            self._store.open()
            self._progress.create()
            self._settled()
            offsets = self._progress.claim(source, partitions, description)
            for event in self._progress.state.versions:
                self._table(event).fence()
        self._written |= {(source, partition): offset for partition, offset in offsets.items()}
        return offsets

    def progress(self) -> list[SourceProgress]:
        """Return the progress of each source."""
        with self._store.translate_errors():
            self._store.require_root()
            self._progress.load()
            return self._progress.sources()

    def lock(self, name: str) -> None:
        """Acquire a lock."""
        with self._store.translate_errors():
            self._store.open()
            self._store.lock(self._prefix + name)

    def read(self, event: str, *, batch_rows: int = 10_000) -> Iterator[pl.DataFrame]:
        """Yield the rows of one table, as of the last batch that ended before this was called.

        Raises ``SnapshotGoneError`` where files of that state are vacuumed meanwhile.
        """
        yield from self._snapshot_of(self._visible_tables([event])).read(event, batch_rows=batch_rows)

    def account(self, table: str, *, batch_rows: int = 10_000) -> Iterator[pl.DataFrame]:
        """Yield the rows of one table of the account, as of one moment."""
        tables = self._visible_tables([*self._schemas.all(), *account_schemas()])
        with self._store.translate_errors():
            yield from account_rows(self._store, tables, table, batch_rows=batch_rows)

    def counts(self) -> dict[str, int]:
        """Return the number of rows of each table, all as of one moment."""
        return self.snapshot().counts()

    def snapshot(self, name: str = "", *, events: Sequence[str] = ()) -> DeltaSnapshot:
        """Return the state of the last batch that ended, or an earlier one: ``compact`` leaves those of a week."""
        if not name:
            return self._snapshot_of(self._visible_tables(events or sorted(self._schemas.all())))
        with self._store.translate_errors():
            self._store.require_root()
            return self._snapshot_of(earlier_tables(self._store, self._prefix, name, self._url))

    def _snapshot_of(self, tables: Mapping[str, EventTable]) -> DeltaSnapshot:
        return DeltaSnapshot(self._url, tables, self._schemas, self._store.translate_errors)

    def _visible_tables(self, events: Iterable[str]) -> Mapping[str, EventTable]:
        with self._store.translate_errors():
            self._store.require_root()
            self._progress.load()
            return visible_tables(self._store, self._prefix, self._progress.state.versions, events)

    def staging(self, name: str) -> Self:
        """Return tables in the same place, ``<name>__<event>``."""
        return type(self)(self._store.another(), table_set=staging_name(name))

    def promote(self, name: str) -> None:
        """Exchange the rows of the tables: commits that replace, the progress of both last."""
        other = self.staging(name)
        with self._store.translate_errors():
            self._store.require_root()
            self._progress.load()
            if not other._progress.load() or not other._progress.state.versions:
                raise SinkError(f"{other.url} has no tables: fill them first")
            self._progress.create()
            self._settled()
            begin(self._store, self._progress, name, other._progress.state.versions)
            finish_described(self._store, self._progress, self._url)

    def prune(self, before_ms: int, *, dry_run: bool = False) -> Iterator[Mapping[str, int]]:
        """Remove old events, a commit for each table and day. Their files go with a ``compact`` a week later."""
        with self._store.translate_errors():
            self._store.require_root()
            self._settled()
            for event in self._schemas.all():
                table = EventTable(self._store, self._prefix + event)
                if not table.load():
                    continue
                if not dry_run:
                    self._file(filed_before(self._store, table, event, before_ms))
                for count in prune_table(self._store, table, before_ms, dry_run=dry_run):
                    self._moved(event, table.log.version or 0)
                    self._tables.pop(event, None)  # it remembers ids that are gone
                    yield {event: count}

    def compact(self) -> Compacted:
        """Merge small files and remove those that no version of the last week names."""
        with self._store.translate_errors():
            self._store.require_root()
            locked = self._store.another()
            locked.lock(f"{self._prefix}compact")
            try:
                self._settled()
                done = Compacted()
                for event, schema in {**self._schemas.all(), **account_schemas()}.items():
                    recorded, moved = self._progress.state.versions.get(event), partial(self._moved, event)
                    done += compact_and_vacuum(self._store, self._prefix + event, schema, recorded, moved)
                vacuum(self._store, self._prefix + PROGRESS_TABLE)
            finally:
                locked.release()
        return done

    def close(self) -> None:
        """Release the locks and what is in memory."""
        self._store.release()
        self._forget()

    def _file(self, sums: pl.DataFrame) -> None:
        if sums.height:
            self._table(STREAMS_TABLE).prepare(account_schemas()[STREAMS_TABLE])
            if not self._add(Batch({STREAMS_TABLE: sums}), self._progress.state.exchanges, {STREAMS_TABLE: 0}):
                raise SinkUnavailableError(f"{self._url}: its tables were changed meanwhile: start it again")

    def _moved(self, event: str, version: int) -> None:
        self._progress.move(Batch({}), {event: version}, self._progress.state.exchanges)

    def _prepare(self) -> None:
        self._progress.create()
        self._settled()
        versions = self._make_tables()

        def registered(state: State) -> State | None:
            missing = {event: version for event, version in versions.items() if event not in state.versions}
            return replace(state, versions={**state.versions, **missing}) if missing else None

        self._progress.change(registered)
        for event, table in self._tables.items():
            warn_of_a_copy(self._url, table, self._progress.state.versions.get(event, 0))

    def _make_tables(self) -> Mapping[str, int]:
        schemas = {**self._schemas, **account_schemas()}
        for event, schema in schemas.items():
            self._table(event).prepare(schema)
        return {event: self._table(event).log.version or 0 for event in schemas}

    def _settled(self) -> State:
        """Return the state of the progress once no promotion is under way; one that was killed is finished here."""
        if not self._progress.load():
            # The folder is there and the tables are not: whoever removed them did so while we were open.
            self._forget()
            self._progress.create()
            self._make_tables()
        if self._progress.state.exchanges % 2:
            finish_described(self._store, self._progress, self._url)
        if self._progress.state.exchanges != self._exchanges:
            # Rows that were there are elsewhere now.
            for table in self._tables.values():
                table.follow()
            self._exchanges = self._progress.state.exchanges
        return self._progress.state

    def _add(self, batch: Batch, exchanges: int, written: dict[str, int]) -> bool:
        """Commit the rows that are missing and the progress; False where tables were promoted meanwhile."""
        starts = {tp: start for tp in batch.offsets if (start := self._written.get((batch.source, tp))) is not None}
        origin = origin_of(starts, batch.offsets)

        def may_go_on() -> bool:
            self._progress.load()
            if self._progress.state.exchanges != exchanges or self._erasures.has_changed():
                return False
            self._progress.require_claims(batch)
            return True

        pending, before = {}, {event: self._table(event).log.version for event in batch.frames}
        for event in sorted(batch.frames):
            self._table(event).load()
            pending[event] = self._table(event).pending(batch.frames[event], origin)
        # A table that was followed may have passed a fence, at which its commit no longer fails.
        if any(self._table(event).log.version != version for event, version in before.items()) and not may_go_on():
            return False
        self._store.put([(path, data) for its in pending.values() for path, _, _, data in its.files])
        transactions = self._progress.transactions(batch)
        for event, its in pending.items():
            added = self._table(event).commit(its, transactions, may_go_on)
            if added is None:
                return False
            written[event] += added
        versions = {event: self._table(event).log.version or 0 for event in pending}
        return self._progress.move(batch, versions, exchanges)

    def _table(self, event: str) -> EventTable:
        if event not in self._tables:
            table = EventTable(self._store, self._prefix + event, max_cached_ids=self._max_cached_ids)
            self._tables[event] = table
        return self._tables[event]

    def _forget(self) -> None:
        self._tables = {}
        self._progress.forget()
        self._erasures.forget()
