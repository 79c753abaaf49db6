"""Erasure in a lake: a table of hashes beside all sets of tables, and files that are written anew without rows."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from flowise_telemetry_consumer.errors import SinkUnavailableError
from flowise_telemetry_consumer.sinks.account.tables import STREAMS_TABLE
from flowise_telemetry_consumer.sinks.delta.account import filed_before
from flowise_telemetry_consumer.sinks.delta.compaction import RETENTION_HOURS
from flowise_telemetry_consumer.sinks.delta.data_file import DataFile, new_path
from flowise_telemetry_consumer.sinks.delta.event_table import EventTable
from flowise_telemetry_consumer.sinks.delta.log import TableLog
from flowise_telemetry_consumer.sinks.delta.progress import Progress
from flowise_telemetry_consumer.sinks.delta.rows import encoded, sorted_by_id
from flowise_telemetry_consumer.sinks.delta.single_file import overwrite
from flowise_telemetry_consumer.sinks.delta.store import Store
from flowise_telemetry_consumer.sinks.erasures import (
    ERASURES_TABLE,
    MAX_LOOKS,
    ErasedIds,
    Erasure,
    Erasures,
    moved_meanwhile,
)
from flowise_telemetry_consumer.sinks.known_events import KnownEvents
from flowise_telemetry_consumer.sinks.port import Batch
from flowise_telemetry_schemas import EventSchema

__all__ = ["ErasingLake", "KeptErasures"]

_LAST_MS = 4_102_444_799_999
"""The end of 2099: no event is later."""

REMAINS = (
    f"files of before have them, and time travel reads them, until a compact {RETENTION_HOURS // 24} days from now"
    " removes these (VACUUM with a retention of 0 does at once, while nobody reads or writes);"
    " versions of a bucket and backups keep them"
)

_TRIES = 200
_FIRST_COMMIT = f"{ERASURES_TABLE}/_delta_log/{0:020d}.json"
_COLUMNS = dict.fromkeys(Erasure._fields, pl.String())
_FIELDS: list[Any] = [{"name": name, "type": "string", "nullable": True, "metadata": {}} for name in _COLUMNS]


class KeptErasures:
    """The table of hashes, as one sink sees it: one file that each erasure replaces."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._log = TableLog(store, ERASURES_TABLE)
        self._known = Erasures()
        self._as_of: int | None = None

    def current(self) -> Erasures:
        """Return what is erased by now."""
        self.has_changed()
        return self._known

    def has_changed(self) -> bool:
        """Read what others stored meanwhile; tell if there was anything."""
        if self._log.version is not None:
            self._log.refresh()
        elif not (self._store.exists(_FIRST_COMMIT) and self._log.load()):
            return False
        if self._as_of == self._log.version:
            return False
        self._known, self._as_of = Erasures(tuple(self._read())), self._log.version
        return True

    def add(self, ids: ErasedIds) -> None:
        """Store the hashes that are not there yet."""
        for _ in range(_TRIES):
            held = self.current().rows
            if self._log.version is None and not self._log.create(_FIELDS, []):
                continue
            missing = ids.missing(held)
            if not missing or self._commit([*held, *missing]):
                return
        raise SinkUnavailableError(f"{self._store.url}: others erase at the same time")

    def forget(self) -> None:
        """Forget what was read: the place was made anew."""
        self._log, self._known, self._as_of = TableLog(self._store, ERASURES_TABLE), Erasures(), None

    def _commit(self, rows: Sequence[Erasure]) -> bool:
        file = io.BytesIO()
        pl.DataFrame(rows, schema=_COLUMNS, orient="row").write_parquet(file, statistics=False)
        return overwrite(self._store, self._log, file.getvalue())

    def _read(self) -> list[Erasure]:
        files = self._store.fetch([f"{ERASURES_TABLE}/{path}" for path in self._log.files])
        return [Erasure(*row) for data in files for row in pl.read_parquet(io.BytesIO(data)).iter_rows()]


class ErasingLake(ABC):
    """The ``Erasable`` role of a lake."""

    _store: Store
    _prefix: str
    _erasures: KeptErasures
    _schemas: KnownEvents
    _tables: dict[str, EventTable]

    def know(self, schemas: Iterable[EventSchema]) -> None:
        """Take these for what the sink may hold, where it is not prepared."""
        self._schemas.tell(schemas)

    def unknown_tables(self) -> list[str]:
        """Return the tables of events that it does not know."""
        with self._store.translate_errors():
            logs = [TableLog(self._store, table) for table in self._store.tables()]
            there = {log.table: [column["name"] for column in log.columns] for log in logs if log.load()}
        return self._schemas.strangers(there)

    @abstractmethod
    def _settled(self) -> object:
        """Finish a promotion that was killed."""

    @abstractmethod
    def _file(self, sums: pl.DataFrame) -> None:
        """Keep sums of the account whose rows are about to go."""

    def erase(self, ids: ErasedIds, *, dry_run: bool = False) -> Iterator[Mapping[str, int]]:
        """Store the hashes, then write each file that holds such rows anew without them, a commit for each.

        Consumers may go on. Whoever has a commit under way that was made up before the hashes were stored fails at the
        fence, and looks again.
        """
        with self._store.translate_errors():
            self._store.require_root()
            if not dry_run:
                self._settled()
                self._erasures.add(ids)
            for _ in range(MAX_LOOKS):
                promotions = self._promotions()
                yield from self._erase_tables(ids, dry_run=dry_run)
                if dry_run or (self._promotions() == promotions and not promotions % 2):
                    return
                self._settled()
            raise moved_meanwhile(self._store.url)

    def _promotions(self) -> int:
        """Return a number that grows with each promotion, and is odd while one is under way."""
        live = Progress(self._store, "", self._store.url)
        return live.state.exchanges if live.load() else 0

    def _erase_tables(self, ids: ErasedIds, *, dry_run: bool) -> Iterator[Mapping[str, int]]:
        # Listed now: who makes a table from here on knows the hashes.
        tables = self._event_tables(sorted(self._schemas.all()))
        if not dry_run:
            for _, _, table in tables:
                table.fence()
        for prefix, event, table in tables:
            erased = ((file, _erased(self._store, table, file, ids)) for file in _candidates(table, ids))
            found = [(file, rows) for file, rows in erased if rows.height]
            if not dry_run and prefix == self._prefix and event != STREAMS_TABLE:
                self._file(_sums_of_others(self._store, table, event, [rows for _, rows in found], ids))
            progress = Progress(self._store, prefix, self._store.url)
            for file, rows in found:
                if not dry_run:
                    _rewrite(self._store, table, file, ids)
                    _record(progress, event, table)
                    self._tables.pop(event, None)  # it remembers ids that are gone
                if event != STREAMS_TABLE:
                    yield {prefix + event: rows.height}

    def erasures(self) -> list[Erasure]:
        """Return the hashes."""
        with self._store.translate_errors():
            self._store.require_root()
            return list(self._erasures.current().rows)

    def remains(self) -> str:
        """Return how long files of before stay."""
        return REMAINS

    def _event_tables(self, events: Sequence[str]) -> list[tuple[str, str, EventTable]]:
        """Return the prefix of the set, the event and the table of each, live and staging ones; and the accounts."""
        names = [(name, name.rpartition("__")[2]) for name in sorted(self._store.tables())]
        wanted = {*events, STREAMS_TABLE}
        found = [(name.removesuffix(its), its, EventTable(self._store, name)) for name, its in names if its in wanted]
        return [(prefix, event, table) for prefix, event, table in found if table.load()]


def _record(progress: Progress, event: str, table: EventTable) -> None:
    """Record that the table counts up to this version: what is not recorded is not shown."""
    if progress.load():
        progress.move(Batch({}), {event: table.log.version or 0}, progress.state.exchanges)


def _sums_of_others(
    store: Store, table: EventTable, event: str, erased: Sequence[pl.DataFrame], ids: ErasedIds
) -> pl.DataFrame:
    """Return the sums of streams that go on without some of their rows: of an erased installation nothing is kept."""
    if not erased:
        return pl.DataFrame()
    streams = pl.concat([rows["stream_id"] for rows in erased]).unique()
    gone = list(ids.by_column.get("instance_id", ()))
    sums = filed_before(store, table, event, _LAST_MS)
    return sums.filter(pl.col("stream_id").is_in(streams.implode()) & ~pl.col("instance_id").is_in(gone))


def _candidates(table: EventTable, ids: ErasedIds) -> list[DataFile]:
    table.follow()
    files = sorted(table.log.files.values(), key=lambda file: (file.date, file.path))
    if set(ids.by_column) != {"event_id"}:
        return files
    wanted = ids.by_column["event_id"]
    return [file for file in files if file.ids is None or any(file.ids[0] <= its <= file.ids[1] for its in wanted)]


def _erased(store: Store, table: EventTable, file: DataFile, ids: ErasedIds) -> pl.DataFrame:
    """Return the ids of the rows to be erased, and their streams."""
    scanned = store.scan([f"{table.log.table}/{file.path}"])
    columns = ids.within(scanned.collect_schema().names())
    rows = scanned.select({*columns, "stream_id"}).collect()
    return rows.filter(ids.rows_of(rows))


def _rewrite(store: Store, table: EventTable, file: DataFile, ids: ErasedIds) -> None:
    log = table.log
    rows = store.scan([f"{log.table}/{file.path}"]).collect()
    rest = rows.filter(~ids.rows_of(rows)).with_columns(pl.col("occurred_at").cast(pl.Datetime("ms", "UTC")))
    adds = []
    if rest.height:
        path, data = new_path(file.date, "erased"), encoded(sorted_by_id(rest))
        store.put([(f"{log.table}/{path}", data)])
        adds.append(DataFile.of_frame(path, file.date, len(data), rest))
    if not table.replace_files("DELETE", [file], adds):
        raise SinkUnavailableError(f"{store.url}: others changed {log.table} meanwhile: erase it again")
