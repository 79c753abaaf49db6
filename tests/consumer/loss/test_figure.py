"""The arithmetic of the figure, on accounts in memory."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import pytest

from flowise_telemetry_consumer.sinks import Batch
from flowise_telemetry_consumer.sinks.account.rows import stream_rows
from flowise_telemetry_consumer.sinks.account.tables import STREAMS_TABLE
from tests.consumer.loss.streams import DAY_MS, NOW_MS, account_of, batch_with, dropped, events, state
from tests.consumer.world import MemorySink


class AccountSink(MemorySink):
    """A sink that keeps the account of streams and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.streams: list[pl.DataFrame] = []

    def account(self, table: str, *, batch_rows: int = 10_000) -> Iterator[pl.DataFrame]:
        yield from self.streams if table == STREAMS_TABLE else ()

    def add(self, batch: Batch) -> None:
        self.streams.append(stream_rows(batch.frames))


@pytest.fixture
def sink() -> AccountSink:
    return AccountSink()


def test_an_empty_sink_misses_nothing(sink: AccountSink) -> None:
    assert account_of(sink).total.numbered == 0


def test_the_tail_and_a_stream_that_was_lost_whole_are_missing(sink: AccountSink) -> None:
    sink.add(batch_with(events("a", range(10)), state("a", numbered=30, droppedQueueFull=12, ended=True)))
    sink.add(batch_with(state("b", numbered=7, ended=True)))
    loss = account_of(sink)
    assert loss.streams == 2
    assert (loss.total.numbered, loss.total.written, loss.total.unexplained) == (37, 10, 15)
    assert dropped(loss.total) == {"queue_full": 12}


def test_the_latest_state_counts_whatever_the_order(sink: AccountSink) -> None:
    sink.add(batch_with(state("a", 2, numbered=9, waiting=1, droppedClosed=2, ended=True)))
    sink.add(batch_with(state("a", 1, numbered=8, waiting=6, droppedClosed=1), events("a", range(5))))
    total = account_of(sink).total
    assert (total.numbered, dropped(total), total.on_the_way, total.unexplained) == (9, {"closed": 2}, 1, 1)


def test_what_arrived_though_it_was_taken_for_dropped_is_told(sink: AccountSink) -> None:
    sink.add(batch_with(events("a", range(10)), state("a", numbered=10, droppedExpired=3, ended=True)))
    total = account_of(sink).total
    assert (total.written, total.unexplained, total.arrived_anyway) == (10, 0, 3)


def test_each_day_adds_up(sink: AccountSink) -> None:
    first, second, third = (NOW_MS - 2 * DAY_MS, NOW_MS - DAY_MS, NOW_MS)
    sink.add(batch_with(events("a", [0, 2], first), events("a", [3, 4], second), events("a", [8], third)))
    # Told after midnight of what was dropped before: nothing else was lost on the second day.
    sink.add(batch_with(state("a", 0, third, numbered=12, waiting=2, droppedQueueFull=1)))
    days = [
        (day.numbered, day.written, sum(day.dropped.values()), day.on_the_way, day.unexplained)
        for _, day in sorted(account_of(sink).by_day.items())
    ]
    assert days == [(3, 2, 0, 1, 0), (2, 2, 0, 0, 0), (7, 1, 1, 5, 0)]


@pytest.mark.parametrize("clock_ms", [NOW_MS + 30 * DAY_MS, NOW_MS - 30 * DAY_MS])
def test_a_clock_that_is_wrong_keeps_no_stream_open(sink: AccountSink, clock_ms: int) -> None:
    sink.add(batch_with(events("a", [1], clock_ms)))
    assert account_of(sink).total.unexplained == 1
