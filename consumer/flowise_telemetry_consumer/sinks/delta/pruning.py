"""Removal of old events from a Delta table: files of old days whole, those of the last day by their rows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import polars as pl

from flowise_telemetry_consumer.errors import SinkUnavailableError
from flowise_telemetry_consumer.sinks.delta.data_file import DataFile, new_path
from flowise_telemetry_consumer.sinks.delta.event_table import EventTable
from flowise_telemetry_consumer.sinks.delta.rows import encoded, sorted_by_id
from flowise_telemetry_consumer.sinks.delta.store import Store
from flowise_telemetry_schemas.json_mapping import rfc3339

__all__ = ["prune_table"]


def prune_table(store: Store, table: EventTable, before_ms: int, *, dry_run: bool = False) -> Iterator[int]:
    """Remove the rows that are older than a time, a commit for each day; yield how many each removed.

    The files stay for those that read older versions until a vacuum. Consumers may go on: what they add is looked at by
    the next prune. ``dry_run``: yield the same, and change nothing.
    """
    for date, files in groupby(_candidates(table, before_ms), key=lambda file: file.date):
        group, whole = list(files), date < _day(before_ms)
        if dry_run:
            deleted = sum(_old(store, table, file, before_ms, whole=whole)[0] for file in group)
        else:
            deleted = _delete(store, table, group, before_ms, whole=whole)
        if deleted:
            yield deleted


def _candidates(table: EventTable, before_ms: int) -> list[DataFile]:
    """Return the files of the days up to that of a time. Whoever wrote a file without a day keeps it."""
    dated = (file for file in table.log.files.values() if file.date[:1].isdigit() and file.date <= _day(before_ms))
    return sorted(dated, key=lambda file: file.date)


def _delete(store: Store, table: EventTable, group: list[DataFile], before_ms: int, *, whole: bool) -> int:
    log = table.log
    deleted, gone, adds = 0, [], []
    for file in group:
        old, rest = _old(store, table, file, before_ms, whole=whole)
        if not whole and not old:
            continue
        deleted += old
        gone.append(file)
        if rest is not None and rest.height:
            path, data = new_path(file.date, "pruned"), encoded(sorted_by_id(rest))
            store.put([(f"{log.table}/{path}", data)])
            adds.append(DataFile.of_frame(path, file.date, len(data), rest))
    if not gone:
        return 0
    if not table.replace_files("DELETE", gone, adds):
        raise SinkUnavailableError(f"{store.url}: others changed {log.table} meanwhile: prune it again")
    return deleted


def _old(
    store: Store, table: EventTable, file: DataFile, before_ms: int, *, whole: bool
) -> tuple[int, pl.DataFrame | None]:
    """Return how many rows of a file are old, and the others; None where it is ``whole`` or none is old."""
    scanned = store.scan([f"{table.log.table}/{file.path}"])
    if whole:
        return file.rows if file.rows is not None else scanned.select(pl.len()).collect().item(), None
    if file.times is not None and file.times[0] >= rfc3339(before_ms):
        return 0, None
    rows = scanned.collect()
    rest = rows.filter(pl.col("occurred_at") >= pl.lit(before_ms).cast(pl.Datetime("ms", "UTC")))
    old = rows.height - rest.height
    return old, rest.with_columns(pl.col("occurred_at").cast(pl.Datetime("ms", "UTC"))) if old else None


def _day(time_ms: int) -> str:
    return rfc3339(time_ms)[:10]
