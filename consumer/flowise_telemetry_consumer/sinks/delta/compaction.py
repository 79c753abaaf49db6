"""Many small files to few large ones, and away with those that no version needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

import polars as pl
import polars.selectors as cs

from flowise_telemetry_consumer.decoding.frames import polars_schema
from flowise_telemetry_consumer.sinks.delta.data_file import DataFile, new_path
from flowise_telemetry_consumer.sinks.delta.event_table import EventTable
from flowise_telemetry_consumer.sinks.delta.rows import encoded, rows_of
from flowise_telemetry_consumer.sinks.delta.store import Store
from flowise_telemetry_consumer.sinks.delta.visible import RETENTION_HOURS, visible_version
from flowise_telemetry_schemas import EventSchema

__all__ = ["COMPACTED_ROWS", "RETENTION_HOURS", "Compacted", "compact_and_vacuum", "compact_table", "vacuum"]

COMPACTED_ROWS = 100_000
"""How many rows a merged file has at most: about 6 MB, and 400 MB of memory while it is made."""

_TRIES = 200


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a compaction did: how many files became how many, and how many unused ones were removed."""

    files_before: int = 0
    files_after: int = 0
    removed: int = 0

    def __add__(self, other: Compacted) -> Compacted:
        return Compacted(
            self.files_before + other.files_before, self.files_after + other.files_after, self.removed + other.removed
        )


def compact_table(store: Store, table: EventTable, schema: EventSchema) -> Compacted:
    """Merge small files of the same day, sorted by id. Consumers may go on; what they add meanwhile is left alone.

    Rows of an older version of the schema get the defaults of the columns that they lack.
    """
    before = len(table.log.files)
    for group in list(_groups(table.log.files.values())):
        known = [file for file in group if _is_known(store, table, schema, file)]
        if len(known) > 1:
            _merge(store, table, schema, known)
    return Compacted(before, len(table.log.files))


def compact_and_vacuum(
    store: Store, name: str, schema: EventSchema, recorded: int | None, moved: Callable[[int], object]
) -> Compacted:
    """Compact a table, if there is one, and remove its unused files.

    ``moved`` is told its version in between, unless a batch that has not ended is in it: what was ``recorded`` is shown
    until it has.
    """
    table = EventTable(store, name)
    if not table.load():
        return Compacted()
    done = compact_table(store, table, schema)
    if visible_version(table.log, recorded) == table.log.version:
        moved(table.log.version or 0)
    return done + Compacted(removed=vacuum(store, name))


def vacuum(store: Store, table: str) -> int:
    """Remove files that no version of the last ``RETENTION_HOURS`` names; return how many."""
    from deltalake import DeltaTable

    opened = DeltaTable(store.location(table), storage_options=dict(store.options) or None)
    # The log names removed files for a week and longer; delta-rs takes those that are gone for files to remove, and
    # adds two commits for them each time.
    due = store.data_files(table).intersection(opened.vacuum(retention_hours=RETENTION_HOURS, dry_run=True, full=True))
    if due:
        opened.vacuum(retention_hours=RETENTION_HOURS, dry_run=False, full=True)
        store.sync(f"{table}/_delta_log")
    return len(due)


def _groups(files: Iterable[DataFile]) -> Iterator[list[DataFile]]:
    """Yield files to be merged with each other: neighbours in time that are well below the size of a merged one."""
    for _, same_day in groupby(sorted(files, key=lambda file: (file.date, file.first)), key=lambda file: file.date):
        group: list[DataFile] = []
        rows = 0
        for file in same_day:
            if file.rows is None or file.rows > COMPACTED_ROWS // 2:
                continue
            if rows + file.rows > COMPACTED_ROWS:
                if len(group) > 1:
                    yield group
                group, rows = [], 0
            group.append(file)
            rows += file.rows
        if len(group) > 1:
            yield group


def _is_known(store: Store, table: EventTable, schema: EventSchema, file: DataFile) -> bool:
    """Tell if a file has no column or nested field that this schema does not know, and would lose in a merged one."""
    wanted = polars_schema(schema)
    there = store.scan([f"{table.log.table}/{file.path}"]).with_columns(cs.datetime().dt.cast_time_unit("ms"))
    return all(wanted.get(name) == dtype for name, dtype in there.collect_schema().items())


def _merge(store: Store, table: EventTable, schema: EventSchema, group: list[DataFile]) -> None:
    log = table.log
    frames = [
        frame
        for file in group
        for frame in rows_of(schema, store.scan([f"{log.table}/{file.path}"]), batch_rows=COMPACTED_ROWS)
    ]
    rows = pl.concat(frames).sort("event_id")
    data = encoded(rows)
    path = new_path(group[0].date, "merged")
    store.put([(f"{log.table}/{path}", data)])
    merged = DataFile.of_frame(path, group[0].date, len(data), rows)
    # Others may have promoted, deleted or merged them meanwhile.
    table.replace_files("OPTIMIZE", group, [merged], is_new=False)
