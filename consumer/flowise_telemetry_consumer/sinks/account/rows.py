"""Rows of the streams' account, made of what a batch added and merged for reading."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from flowise_telemetry_consumer.decoding.frames import polars_schema
from flowise_telemetry_consumer.sinks.account.tables import STREAMS_TABLE, account_schema, dropped_columns
from flowise_telemetry_schemas.envelope import STREAM_STATE

__all__ = ["ENVELOPE", "merged", "stream_rows", "summed", "summed_states"]

ENVELOPE = ("stream_id", "instance_id", "occurred_at", "sequence")
"""The columns of an event that its stream's account is made of."""


def stream_rows(added: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Return a row for each stream and day of what a batch added, by event name; frames may be empty."""
    return _summed(
        [
            _told(frame) if event == STREAM_STATE else _counted(frame.lazy())
            for event, frame in added.items()
            if frame.height
        ]
    )


def summed(events: pl.LazyFrame) -> pl.DataFrame:
    """Return a row for each stream and day of events that have the columns of ``ENVELOPE``."""
    return _summed([_counted(events)])


def summed_states(states: pl.DataFrame) -> pl.DataFrame:
    """Return a row for each stream and day of ``stream_state``."""
    return _summed([_told(states)])


def merged(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Return one row for each stream and day of many; columns that they lack have the table's default."""
    whole = _no_rows()
    types = whole.schema
    for frame in frames:
        known = [pl.col(column).cast(types[column]) for column in frame.columns if column in types]
        whole = _summed([whole.lazy(), frame.lazy().select(known)])
    return whole


def _counted(events: pl.LazyFrame) -> pl.LazyFrame:
    """Return a row of the account for each event."""
    return events.select(
        "stream_id",
        "instance_id",
        pl.col("occurred_at").alias("first_at"),
        "occurred_at",
        pl.col("sequence").alias("highest"),
        pl.lit(1, pl.Int64()).alias("added"),
    )


def _told(states: pl.DataFrame) -> pl.LazyFrame:
    """Return a row of the account for each ``stream_state``."""
    return states.lazy().select(
        "stream_id",
        "instance_id",
        pl.col("occurred_at").alias("first_at"),
        "occurred_at",
        "numbered",
        (pl.col("numbered") - pl.col("waiting")).alias("settled"),
        *(column for column in dropped_columns() if column in states.columns),
        "ended",
    )


def _summed(parts: Sequence[pl.LazyFrame]) -> pl.DataFrame:
    """Return the sums and extremes of rows, which may lack columns, by stream and day."""
    rows = pl.concat([_no_rows().lazy(), *parts], how="diagonal_relaxed")
    sums = rows.group_by("stream_id", pl.col("occurred_at").dt.date().alias("day")).agg(_sums())
    return sums.select(_filled()).collect()


@functools.cache
def _no_rows() -> pl.DataFrame:
    return pl.DataFrame(schema=polars_schema(account_schema(STREAMS_TABLE)))


@functools.cache
def _sums() -> list[pl.Expr]:
    return [
        pl.col("instance_id").max(),
        pl.col("first_at").min(),
        pl.col("occurred_at", "highest", "numbered", "settled", *dropped_columns(), "ended").max(),
        pl.col("added").sum(),
    ]


@functools.cache
def _filled() -> list[pl.Expr]:
    """Return the columns of the table; what no row told is 0, False, or no highest sequence."""
    return [
        pl.coalesce(field.column, pl.lit(field.default)).cast(_no_rows().schema[field.column])
        for field in account_schema(STREAMS_TABLE).fields
    ]
