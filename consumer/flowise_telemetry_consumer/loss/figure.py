"""What became of the events that streams numbered: one outcome for each, and the sum of all is what was numbered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import polars as pl

from flowise_telemetry_consumer.loss.days import by_day
from flowise_telemetry_consumer.loss.outcome import Outcome, outcome_of, unaccounted
from flowise_telemetry_consumer.sinks.account.reading import letters_of, streams_of
from flowise_telemetry_consumer.sinks.account.tables import dropped_columns
from flowise_telemetry_consumer.sinks.port import Sink

__all__ = ["DEFAULT_AGE_SECONDS", "Loss", "loss_of"]

DEFAULT_AGE_SECONDS = 86_400.0
"""Time after a stream's last record in which its missing events may still be on their way."""


@dataclass(frozen=True, slots=True)
class Loss:
    """The answer of a sink: ``total`` of all ``streams``, and the same by instance and by day.

    ``letters`` are dead letters by day and reason, None where the sink does not count them. They are records and not
    events of a stream: what they would have been is among the unexplained.
    """

    streams: int
    total: Outcome
    by_instance: Mapping[str, Outcome]
    by_day: Mapping[date, Outcome]
    letters: Mapping[tuple[date, str], int] | None


def loss_of(sink: Sink, *, now_ms: int, age_seconds: float = DEFAULT_AGE_SECONDS) -> Loss:
    """Return what became of the events of every stream. Raises ``SinkError`` where the sink cannot tell.

    What is missing from a stream is on its way until ``age_seconds`` after its last record, and unexplained from then
    on; of a stream that has ended, only what it said was still waiting.
    """
    days = streams_of(sink).sort("stream_id", "occurred_at")
    streams = _settled(_sums(days), now_ms=now_ms, age_ms=round(age_seconds * 1000))
    letters = letters_of(sink)
    return Loss(
        streams=streams.height,
        total=outcome_of(streams),
        by_instance={str(key): outcome_of(its) for (key,), its in streams.group_by("instance_id", maintain_order=True)},
        by_day=by_day(days, streams),
        letters=None if letters is None else {(day, reason): count for day, reason, count in letters.iter_rows()},
    )


def _sums(days: pl.DataFrame) -> pl.DataFrame:
    told = pl.col("numbered").max()
    return days.group_by("stream_id", maintain_order=True).agg(
        pl.col("instance_id").max(),
        pl.col("occurred_at").max(),
        # Some events may be here before the stream has told of them.
        numbered=pl.max_horizontal(told, pl.col("highest").max() + 1),
        waiting=told - pl.col("settled").max(),
        written=pl.col("added").sum(),
        **{column: pl.col(column).max() for column in dropped_columns()},
        ended=pl.col("ended").max(),
    )


def _settled(streams: pl.DataFrame, *, now_ms: int, age_ms: int) -> pl.DataFrame:
    """Add what is on its way and what is unexplained. A clock that is far ahead does not keep a stream open."""
    since_ms = now_ms - pl.col("occurred_at").dt.epoch("ms")
    on_the_way = (
        pl.when(since_ms.abs() > age_ms)
        .then(0)
        .when(pl.col("ended"))
        .then(pl.min_horizontal(pl.col("gap").clip(0), "waiting"))
        .otherwise(pl.col("gap").clip(0))
    )
    return (
        streams.with_columns(gap=unaccounted())
        .with_columns(on_the_way=on_the_way, arrived_anyway=(-pl.col("gap")).clip(0))
        .with_columns(unexplained=pl.col("gap").clip(0) - pl.col("on_the_way"))
    )
