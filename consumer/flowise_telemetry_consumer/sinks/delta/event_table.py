"""The table of one event: its columns, and rows that are added once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from flowise_telemetry_consumer.errors import SinkError, SinkUnavailableError, SnapshotGoneError
from flowise_telemetry_consumer.sinks.delta.data_file import DataFile, new_path, parts_by_date
from flowise_telemetry_consumer.sinks.delta.known_ids import MAX_CACHED_IDS, KnownIds
from flowise_telemetry_consumer.sinks.delta.log import Change, TableLog, now_ms
from flowise_telemetry_consumer.sinks.delta.rows import (
    DATE,
    decoded,
    encoded,
    merged_fields,
    rows_of,
    sorted_by_id,
    table_fields,
)
from flowise_telemetry_consumer.sinks.delta.store import Store
from flowise_telemetry_consumer.sinks.event_ids import first_of_each
from flowise_telemetry_consumer.sinks.row_files import RowFile, rows_of_files
from flowise_telemetry_schemas import EventSchema

__all__ = ["EventTable", "Pending"]

_COMMIT_TRIES = 200
_LOOK_UP_TRIES = 3
_FENCE = "flowise_telemetry/claim"


@dataclass(slots=True)
class Pending:
    """Rows that are not in the table yet, and the files that hold them: path from the root, date, rows, bytes."""

    rows: pl.DataFrame
    origin: str
    files: list[tuple[str, str, pl.DataFrame, bytes]]


class EventTable:
    """One event's table, as one sink sees it."""

    def __init__(self, store: Store, table: str, *, max_cached_ids: int = MAX_CACHED_IDS) -> None:
        self._store = store
        self.log = TableLog(store, table)
        self._known = KnownIds(store, self.log, max_cached_ids=max_cached_ids)

    def load(self) -> bool:
        """Read the table's state where that has not been done; return False where there is no table."""
        if self.log.version is not None:
            return True
        self._known.forget()
        return self.log.load()

    def follow(self) -> list[Change]:
        """Bring the state up to the newest version; return what changed."""
        return self.log.refresh(self._known.follow)

    def prepare(self, schema: EventSchema) -> None:
        """Create the table or add columns that it lacks. Raises ``SinkError`` where one is of another type."""
        wanted = table_fields(schema)
        for _ in range(_COMMIT_TRIES):
            if not self.load():
                if self.log.create(wanted, [DATE]):
                    return
                continue
            self.follow()
            if self.log.metadata["partitionColumns"] != [DATE]:
                raise self.altered("it is not partitioned by date")
            columns = merged_fields(self.log.columns, wanted)
            if isinstance(columns, str):
                raise self.altered(f"its column {columns} has another type")
            if columns == self.log.columns:
                return
            fields = json.dumps({"type": "struct", "fields": columns})
            if self.log.commit("ADD COLUMN", [{"metaData": {**self.log.metadata, "schemaString": fields}}]):
                return
        raise self._contended()

    def pending(self, frame: pl.DataFrame, origin: str) -> Pending:
        """Return the rows of a frame that the table does not hold, sorted by id and encoded; nothing is written yet."""
        rows = sorted_by_id(first_of_each(frame))
        for _ in range(_LOOK_UP_TRIES):
            try:
                known = self._known.among(rows["event_id"])
                # What is remembered may have been removed by others since; whatever they wrote counts from here on.
                if known.any() and any(change.moves_rows for change in self.follow()):
                    known = self._known.among(rows["event_id"])
            except FileNotFoundError:
                # Merged and vacuumed since the state was read.
                self.follow()
            else:
                return self._encoded(rows.filter(~known) if known.any() else rows, origin)
        raise SinkUnavailableError(f"{self._store.url}: files of the table {self.log.table} are missing: restore them")

    def commit(
        self, pending: Pending, transactions: list[Mapping[str, object]], check: Callable[[], bool]
    ) -> int | None:
        """Add rows whose files are written; return how many, or None where ``check`` says to begin again.

        Where others committed first, ``check`` is asked and ids are looked up again in what they wrote.
        """
        for _ in range(_COMMIT_TRIES):
            if pending.rows.is_empty():
                return 0
            if self.log.commit("WRITE", [*transactions, *self._adds(pending)]):
                self._known.added(pending.rows["event_id"])
                return pending.rows.height
            if not self._again(pending, check):
                return None
        self._drop(pending)
        raise self._contended()

    def replace_files(
        self, operation: str, gone: Sequence[DataFile], added: Sequence[DataFile], *, is_new: bool = True
    ) -> bool:
        """Commit files, which are written, in place of others; delete them and return False where one of those is gone.

        ``is_new`` False: the rows are the same as before.
        """
        for _ in range(_COMMIT_TRIES):
            if any(file.path not in self.log.files for file in gone):
                self._store.delete([f"{self.log.table}/{file.path}" for file in added])
                return False
            now = now_ms()
            removes = [file.remove(now, is_new=is_new) for file in gone]
            if self.log.commit(operation, [*removes, *(file.add(now, is_new=is_new) for file in added)]):
                return True
            self.follow()
        raise self._contended()

    def fence(self) -> None:
        """Make every commit fail that another sink has under way on the state of before."""
        for _ in range(_COMMIT_TRIES):
            if not self.load():
                return
            self.follow()
            transaction = {"appId": _FENCE, "version": now_ms(), "lastUpdated": now_ms()}
            if self.log.commit("CLAIM", [{"txn": transaction}]):
                return
        raise self._contended()

    def read(
        self, schema: EventSchema, batch_rows: int, *, start_row: int = 0, files: Iterable[DataFile] | None = None
    ) -> Iterator[pl.DataFrame]:
        """Yield the rows of the state that was loaded, in an order that it always has, or of some of its files."""
        chosen = self.log.files.values() if files is None else files
        ordered = sorted(chosen, key=lambda file: (file.date, file.first, file.path))
        try:
            yield from rows_of_files(
                [RowFile(self._path(file), file.size_bytes, self._rows(file)) for file in ordered],
                small=lambda paths: decoded(schema, self._store.fetch(paths)),
                large=lambda path: rows_of(schema, self._store.scan([path]), batch_rows=batch_rows),
                start_row=start_row,
                batch_rows=batch_rows,
            )
        except FileNotFoundError as error:
            raise SnapshotGoneError(
                f"{self._store.url}: files of {self.log.table} were removed while it was read: read it again"
            ) from error

    def count(self) -> int:
        """Return the number of rows of the state that was loaded."""
        return sum(map(self._rows, self.log.files.values()))

    def _rows(self, file: DataFile) -> int:
        """Return the number of rows of a file: the log's, or counted where another writer left that out."""
        if file.rows is not None:
            return file.rows
        counted: int = self._store.scan([self._path(file)]).select(pl.len()).collect().item()
        return counted

    def _path(self, file: DataFile) -> str:
        return f"{self.log.table}/{file.path}"

    def _again(self, pending: Pending, check: Callable[[], bool]) -> bool:
        changes = self.follow()
        try:
            going_on = check()
        except BaseException:
            self._drop(pending)
            raise
        if not going_on:
            self._drop(pending)
            return False
        if any(change.moves_rows for change in changes):
            known = self._known.among(pending.rows["event_id"])
            if known.any():
                self._drop(pending)
                anew = self._encoded(pending.rows.filter(~known), pending.origin)
                pending.rows, pending.files = anew.rows, anew.files
                self._store.put([(path, data) for path, _, _, data in pending.files])
        return True

    def _encoded(self, rows: pl.DataFrame, origin: str) -> Pending:
        files = [
            (f"{self.log.table}/{new_path(date, origin)}", date, part, encoded(part))
            for date, part in parts_by_date(rows)
        ]
        return Pending(rows, origin, files)

    def _adds(self, pending: Pending) -> Iterator[Mapping[str, object]]:
        for path, date, part, data in pending.files:
            yield DataFile.of_frame(path.removeprefix(f"{self.log.table}/"), date, len(data), part).add(now_ms())

    def _drop(self, pending: Pending) -> None:
        self._store.delete([path for path, *_ in pending.files])

    def _contended(self) -> SinkUnavailableError:
        return SinkUnavailableError(f"{self._store.url}: others write the table {self.log.table} all the time")

    def altered(self, what: str) -> SinkError:
        """Return the error for a table that is not as we need it."""
        return SinkError(
            f"{self._store.url}: the table {self.log.table} was altered by others: {what}; move it away or restore it"
        )
