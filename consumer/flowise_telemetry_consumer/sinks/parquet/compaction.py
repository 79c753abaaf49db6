"""Compaction: few large files in place of many small ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from flowise_telemetry_consumer.sinks.event_ids import first_of_each
from flowise_telemetry_consumer.sinks.parquet.data_file import DataFile
from flowise_telemetry_consumer.sinks.parquet.listing import EXCHANGES, Exchange, exchanges, list_data
from flowise_telemetry_consumer.sinks.parquet.rows import encoded
from flowise_telemetry_consumer.sinks.parquet.storage import Storage

__all__ = ["COMPACTED_ROWS", "Compacted", "compact", "finish_exchanges"]

COMPACTED_ROWS = 100_000
"""Bound on the rows of a compacted file: about 6 MB, and 400 MB of memory while it is written."""


@dataclass(frozen=True, slots=True)
class Compacted:
    """Result of a compaction: files before and after, and duplicate rows removed."""

    files_before: int
    files_after: int
    duplicates: int


@dataclass(frozen=True, slots=True)
class _Merged:
    exchange: Exchange
    data: bytes
    files: int
    duplicates: int


def compact(storage: Storage) -> Compacted:
    """Merge small files of the same event and day, sorted by id, each event once.

    The caller holds the lock. Writers may keep writing: files that they add meanwhile are left alone.
    """
    finish_exchanges(storage)
    files = list_data(storage)
    taken = made = duplicates = 0
    for group in _groups(files):
        for merged in _merged(storage, group):
            _put(storage, merged.exchange.path, merged.exchange.document())
            with storage.exchanging():
                _put(storage, merged.exchange.new, merged.data)
                _finish(storage, merged.exchange)
            taken, made, duplicates = taken + merged.files, made + 1, duplicates + merged.duplicates
    return Compacted(len(files), len(files) - taken + made, duplicates)


def finish_exchanges(storage: Storage) -> None:
    """Complete the exchanges of a compaction that was killed. The caller holds the lock."""
    for exchange in exchanges(storage):
        if exchange.new in storage.list_files(exchange.new.rpartition("/")[0]):
            with storage.exchanging():
                _finish(storage, exchange)
        else:
            storage.delete([exchange.path])


def _put(storage: Storage, path: str, data: bytes) -> None:
    # As a writer: whoever opens the data set while nobody writes removes temporary files.
    with storage.publishing():
        storage.put([(path, data)])


def _finish(storage: Storage, exchange: Exchange) -> None:
    storage.delete(exchange.old)
    storage.delete([exchange.path])


def _groups(files: Iterable[DataFile]) -> Iterator[list[DataFile]]:
    """Yield files to merge: neighbours in time, each well below the size of a compacted file."""
    for _, same_day in groupby(files, key=lambda file: (file.event, file.date)):
        group: list[DataFile] = []
        rows = 0
        for file in sorted(same_day, key=lambda file: file.first):
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


def _merged(storage: Storage, group: list[DataFile]) -> Iterator[_Merged]:
    """Yield the merged files of a group, one per set of columns, as a missing column stands for a default."""
    by_columns: dict[tuple[str, ...], list[str]] = {}
    for file in group:
        columns = storage.scan([file.path]).collect_schema()
        by_columns.setdefault(tuple(map(str, columns.items())), []).append(file.path)
    for paths in by_columns.values():
        if len(paths) == 1:
            continue
        rows = storage.scan(paths).collect()
        before = rows.height
        rows = first_of_each(rows.sort("event_id"))
        new = DataFile.of(group[0].event, group[0].date, "compacted", rows["event_id"]).path
        old = tuple(path for path in paths if path != new)
        journal = f"{EXCHANGES}/{hashlib.blake2b(new.encode(), digest_size=16).hexdigest()}.json"
        yield _Merged(Exchange(journal, new, old), encoded(rows), len(paths), before - rows.height)
