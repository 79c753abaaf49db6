"""The account of a lake: its rows themselves, and what of them was pruned.

The rows of a batch and their account cannot be in one commit where each event has a table. Columns are read without
the others, so that summing the rows up costs little, and they need no account of their own until they go. ``prune``
files sums of what it is about to remove: of a day that is there as well, the larger sum counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import polars as pl

from flowise_telemetry_consumer.errors import SnapshotGoneError
from flowise_telemetry_consumer.sinks.account.rows import ENVELOPE, merged, summed, summed_states
from flowise_telemetry_consumer.sinks.account.tables import (
    LETTERS_TABLE,
    STREAMS_TABLE,
    account_schema,
    filed_streams,
)
from flowise_telemetry_consumer.sinks.delta.data_file import DataFile
from flowise_telemetry_consumer.sinks.delta.event_table import EventTable
from flowise_telemetry_consumer.sinks.delta.store import Store
from flowise_telemetry_schemas import EventSchema, catalog
from flowise_telemetry_schemas.envelope import STREAM_STATE
from flowise_telemetry_schemas.hashed_id import hashed_id
from flowise_telemetry_schemas.json_mapping import rfc3339

__all__ = ["account_rows", "account_schemas", "filed_before"]

_SCANNED_ROWS = 500_000
_KEY = ("stream_id", pl.col("occurred_at").dt.date().alias("day"))


def account_schemas() -> Mapping[str, EventSchema]:
    """Return the columns of both tables."""
    return {STREAMS_TABLE: filed_streams(by_event=True), LETTERS_TABLE: account_schema(LETTERS_TABLE)}


def account_rows(
    store: Store, tables: Mapping[str, EventTable], table: str, *, batch_rows: int
) -> Iterator[pl.DataFrame]:
    """Yield the rows of one table of the account; ``tables`` are all that are there, as of one moment."""
    if table == LETTERS_TABLE:
        if LETTERS_TABLE in tables:
            yield from tables[LETTERS_TABLE].read(account_schema(LETTERS_TABLE), batch_rows)
        return
    filed = tables.get(STREAMS_TABLE)
    frames = [] if filed is None else list(filed.read(filed_streams(by_event=True), batch_rows))
    pruned = pl.concat(frames) if frames else pl.DataFrame(schema={"event": pl.String()})
    for event, its in tables.items():
        if event in account_schemas():
            continue
        here = merged(_sums(store, its, event, list(its.log.files.values())))
        gone = pruned.filter(pl.col("event") == event)
        yield _larger(here, gone.drop("event", "event_id")) if gone.height else here


def filed_before(store: Store, table: EventTable, event: str, before_ms: int) -> pl.DataFrame:
    """Return the sums of the days up to that of a time, to be filed before their rows are removed."""
    last = rfc3339(before_ms)[:10]
    files = [file for file in table.log.files.values() if file.date <= last]
    sums = merged(_sums(store, table, event, files))
    ids = [
        hashed_id(f"{event} {rest}".encode(), made_ms=occurred_ms)
        for rest, occurred_ms in zip(map(str, sums.iter_rows()), sums["occurred_at"].dt.epoch("ms"), strict=True)
    ]
    columns = [field.column for field in filed_streams(by_event=True).fields]
    return sums.with_columns(pl.Series("event_id", ids, pl.String()), event=pl.lit(event)).select(columns)


def _larger(here: pl.DataFrame, gone: pl.DataFrame) -> pl.DataFrame:
    """Return of each stream and day what is there or what was: rows that a replay brings back are the same."""
    both = pl.concat([here, gone]).lazy().group_by(_KEY)
    sums = both.agg(pl.col("instance_id").max(), pl.col("first_at").min(), pl.exclude("instance_id", "first_at").max())
    return sums.select(here.columns).collect()


def _sums(store: Store, table: EventTable, event: str, files: list[DataFile]) -> Iterator[pl.DataFrame]:
    if event == STREAM_STATE:
        schema = catalog().latest(STREAM_STATE)
        yield from map(summed_states, table.read(schema, 10_000, files=files))
        return
    paths: list[str] = []
    rows = 0
    try:
        for file in files:
            paths.append(f"{table.log.table}/{file.path}")
            rows += file.rows or _SCANNED_ROWS
            if rows >= _SCANNED_ROWS or file is files[-1]:
                times = pl.col("occurred_at").cast(pl.Datetime("ms", "UTC"))
                yield summed(store.scan(paths).select(ENVELOPE).with_columns(times))
                paths, rows = [], 0
    except FileNotFoundError as error:
        raise SnapshotGoneError(
            f"{store.url}: files of {table.log.table} were removed while it was read: read it again", event=event
        ) from error
