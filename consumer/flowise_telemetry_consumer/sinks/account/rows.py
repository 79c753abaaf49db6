"""Rows of the streams' account, made of what a batch added and merged for reading."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from flowise_telemetry_consumer.decoding.frames import polars_schema
from flowise_telemetry_consumer.sinks.account.tables import STREAMS_TABLE, account_schema, dropped_columns
from flowise_telemetry_schemas.envelope import STREAM_STATE

__all__ = ["merged", "no_streams", "stream_rows"]

_DAY = pl.col("occurred_at").dt.date().alias("day")


def no_streams() -> pl.DataFrame:
    """Return no rows, in the shape of the table."""
    return pl.DataFrame(schema=polars_schema(account_schema(STREAMS_TABLE)))


def stream_rows(added: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Return a row for each stream and day of what a batch added, by event name; frames may be empty."""
    envelopes = [
        frame.lazy().select("stream_id", "instance_id", "occurred_at", "sequence")
        for event, frame in added.items()
        if event != STREAM_STATE and frame.height
    ]
    parts = []
    if envelopes:
        parts.append(
            pl.concat(envelopes)
            .group_by("stream_id", _DAY)
            .agg(
                pl.col("instance_id").max(),
                pl.col("occurred_at").min().alias("first_at"),
                pl.col("occurred_at").max(),
                pl.col("sequence").max().alias("highest"),
                pl.len().cast(pl.Int64()).alias("added"),
            )
        )
    states = added.get(STREAM_STATE)
    if states is not None and states.height:
        parts.append(
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
    shaped = [_shaped(part.collect()) for part in parts]
    return shaped[0] if len(shaped) == 1 else merged(shaped)


def merged(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Return one row for each stream and day of many."""
    whole = no_streams()
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
