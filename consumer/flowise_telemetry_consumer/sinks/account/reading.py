"""Reading the account of a sink, or making one of the rows of a place that keeps none."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.sinks.account.port import KeepsAccount
from flowise_telemetry_consumer.sinks.account.rows import merged, stream_rows
from flowise_telemetry_consumer.sinks.account.tables import LETTERS_TABLE, STREAMS_TABLE
from flowise_telemetry_consumer.sinks.port import Readable, Sink

__all__ = ["letters_of", "streams_of"]

_ROWS = 50_000


def streams_of(sink: Sink) -> pl.DataFrame:
    """Return one row for each stream and day. Raises ``SinkError`` where the sink cannot be read back.

    A place without an account is read whole: what was pruned from it counts as never received.
    """
    if isinstance(sink, KeepsAccount):
        return merged(sink.account(STREAMS_TABLE, batch_rows=_ROWS))
    if isinstance(sink, Readable):
        return merged(_rows_of(sink))
    raise SinkError(f"{sink.url} cannot be read back, and so cannot tell what it received")


def letters_of(sink: Sink) -> pl.DataFrame | None:
    """Return the number of dead letters by day and reason; None where the sink keeps no account of them."""
    if not isinstance(sink, KeepsAccount):
        return None
    key = ("day", "reason")
    counted = pl.DataFrame(schema={"day": pl.Date(), "reason": pl.String(), "letters": pl.Int64()})
    for frame in sink.account(LETTERS_TABLE, batch_rows=_ROWS):
        more = frame.group_by(pl.col("occurred_at").dt.date().alias("day"), "reason").agg(
            pl.len().cast(pl.Int64()).alias("letters")
        )
        counted = pl.concat([counted, more]).group_by(key).agg(pl.col("letters").sum())
    return counted.sort(key)


def _rows_of(sink: Readable) -> Iterator[pl.DataFrame]:
    for event in sink.counts():
        for frame in sink.read(event, batch_rows=_ROWS):
            yield stream_rows({event: frame})
