"""Rows of the streams' account, made of what a batch added and merged for reading."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from flowise_telemetry_consumer.decoding.frames import polars_schema
from flowise_telemetry_consumer.sinks.account.tables import STREAMS_TABLE, account_schema, dropped_columns
from flowise_telemetry_schemas.envelope import STREAM_STATE

__all__ = ["ENVELOPE", "merged", "stream_rows", "summed", "summed_states"]

ENVELOPE = ("stream_id", "instance_id", "occurred_at", "sequence")
"""The columns of an event that its stream's account is made of."""

_DAY = pl.col("occurred_at").dt.date().alias("day")


def stream_rows(added: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Return a row for each stream and day of what a batch added, by event name; frames may be empty."""
    events = [frame.lazy().select(ENVELOPE) for event, frame in added.items() if event != STREAM_STATE and frame.height]
    parts = [summed(pl.concat(events))] if events else []
    states = added.get(STREAM_STATE)
    if states is not None and states.height:
        parts.append(summed_states(states))
    return parts[0] if len(parts) == 1 else merged(parts)


def summed(events: pl.LazyFrame) -> pl.DataFrame:
    """Return a row for each stream and day of events that have the columns of ``ENVELOPE``."""
    sums = events.group_by("stream_id", _DAY).agg(
        pl.col("instance_id").max(),
        pl.col("occurred_at").min().alias("first_at"),
        pl.col("occurred_at").max(),
        pl.col("sequence").max().alias("highest"),
        pl.len().alias("added"),
    )
    return _shaped(sums.collect())


def summed_states(states: pl.DataFrame) -> pl.DataFrame:
    """Return a row for each stream and day of ``stream_state``."""
    sums = (
        states.lazy()
        .group_by("stream_id", _DAY)
        .agg(
            pl.col("instance_id").max(),
            pl.col("occurred_at").min().alias("first_at"),
            pl.col("occurred_at").max(),
            pl.col("numbered").max(),
            (pl.col("numbered") - pl.col("waiting")).max().alias("settled"),
            *(pl.col(column).max() for column in dropped_columns() if column in states.columns),
            pl.col("ended").max(),
        )
    )
    return _shaped(sums.collect())


def merged(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Return one row for each stream and day of many."""
    whole = pl.DataFrame(schema=polars_schema(account_schema(STREAMS_TABLE)))
    for frame in frames:
        both = pl.concat([whole, _shaped(frame)]).lazy()
        sums = both.group_by("stream_id", _DAY).agg(
            pl.col("instance_id").max(),
            pl.col("first_at").min(),
            pl.col("occurred_at", "highest", "numbered", "settled", *dropped_columns(), "ended").max(),
            pl.col("added").sum(),
        )
        whole = _shaped(sums.collect())
    return whole


def _shaped(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows in the shape of the table; what they do not tell is 0, False, or no highest sequence."""
    fields = account_schema(STREAMS_TABLE).fields
    return rows.select(
        pl.col(field.column) if field.column in rows.columns else pl.lit(field.default).alias(field.column)
        for field in fields
    ).cast(dict(polars_schema(account_schema(STREAMS_TABLE))))  # type: ignore[arg-type]  # polars' own types
