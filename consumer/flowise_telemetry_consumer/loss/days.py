"""Outcomes by day: that on which an event occurred, or the next record of its stream after it did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

import polars as pl

from flowise_telemetry_consumer.loss.outcome import Outcome, outcome_of, unaccounted
from flowise_telemetry_consumer.sinks.account.tables import dropped_columns

__all__ = ["by_day"]


def by_day(days: pl.DataFrame, streams: pl.DataFrame) -> Mapping[date, Outcome]:
    """Divide the outcomes of streams among the days of their records, so that each day adds up, and all days too.

    ``days`` are in the order of stream and time.
    """
    within = "stream_id"
    reached = pl.max_horizontal(pl.col("numbered"), pl.col("highest").fill_null(-1) + 1)
    steps = days.select(
        within,
        pl.col("occurred_at").dt.date().alias("day"),
        numbered=_increase(reached),
        written=pl.col("added"),
        **{column: _increase(pl.col(column)) for column in dropped_columns()},
    ).with_columns(gap=unaccounted())
    whole = steps.filter((pl.col("gap") == 0).all().over(within))
    outcomes = [whole.with_columns(pl.lit(0, pl.Int64()).alias(name) for name in _SHARES)]
    broken = steps.filter((pl.col("gap") != 0).any().over(within))
    if broken.height:
        on_the_way = dict(streams.select(within, "on_the_way").iter_rows())
        shares = [
            share
            for (stream,), its in broken.group_by(within, maintain_order=True)
            for share in _shares(its["gap"].to_list(), on_the_way[stream])
        ]
        shared = pl.DataFrame(shares, schema=dict.fromkeys(_SHARES, pl.Int64()), orient="row")
        outcomes.append(
            pl.concat([broken, shared], how="horizontal").with_columns(
                # Whatever moved between days is which of them an event was numbered on.
                numbered=pl.col("written")
                + pl.sum_horizontal(dropped_columns())
                + pl.col("on_the_way")
                + pl.col("unexplained")
                - pl.col("arrived_anyway")
            )
        )
    rows = pl.concat(outcomes).sort("day")
    return {its["day"][0]: outcome_of(its) for _, its in rows.group_by("day", maintain_order=True)}


_SHARES = ("on_the_way", "unexplained", "arrived_anyway")


def _increase(value: pl.Expr) -> pl.Expr:
    """Return by how much a count grew in its stream on a day."""
    so_far = value.cum_max()
    return (so_far - so_far.shift(1, fill_value=0)).over("stream_id")


def _shares(gaps: Sequence[int], on_the_way: int) -> Iterator[tuple[int, int, int]]:
    """Yield what is on its way, unexplained and arrived anyway of each day of a stream.

    A day with more than it can have takes from the one before, where the drops of an evening are told the next day,
    and else from the ones after. The newest events are those that are on their way.
    """
    left = list(gaps)
    last = len(left) - 1
    for day, other in [*((day, day - 1) for day in range(last, 0, -1)), *((day, day + 1) for day in range(last))]:
        if left[day] < 0:
            left[other] += left[day]
            left[day] = 0
    waiting = []
    for gap in reversed(left):
        waiting.append(max(0, min(gap, on_the_way)))
        on_the_way -= waiting[-1]
    for gap, its in zip(left, reversed(waiting), strict=True):
        yield its, max(0, gap) - its, max(0, -gap)
