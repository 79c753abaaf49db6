"""The account that every sink gives of what it received."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest

from flowise_telemetry_consumer.errors import FencedError
from flowise_telemetry_consumer.loss import Outcome
from flowise_telemetry_consumer.sinks import MergesAccount, Prunable, open_sink
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport.types import TopicPartition
from tests.consumer.loss.streams import DAY_MS, NOW_MS, account_of, batch_with, dropped, events, state
from tests.consumer.sinks.roles import ReadableSink, open_claimed, open_database

TP0 = TopicPartition("flowise.telemetry.events", 0)


def test_a_gap_is_on_its_way_until_it_is_too_old(sink: ReadableSink) -> None:
    assert account_of(sink).total.numbered == 0
    sink.write(batch_with(events("a", [0, 1, 5])))
    young = account_of(sink, NOW_MS + DAY_MS - 1).total
    assert (young.numbered, young.written, young.on_the_way, young.unexplained) == (6, 3, 3, 0)
    old = account_of(sink, NOW_MS + DAY_MS + 1).total
    assert (old.on_the_way, old.unexplained, old.missing) == (0, 3, 3)
    sink.write(batch_with(events("a", [2, 3, 4])))
    assert account_of(sink).total.missing == 0


def test_a_stream_that_numbered_nothing_misses_nothing(sink: ReadableSink) -> None:
    sink.write(batch_with(state("a", numbered=0, ended=True)))
    for now_ms in (NOW_MS, NOW_MS + 2 * DAY_MS):
        loss = account_of(sink, now_ms)
        for outcome in (loss.total, *loss.by_instance.values(), *loss.by_day.values()):
            assert outcome == Outcome(0, 0, _no_drops(), 0, 0, 0)


def test_an_event_that_comes_again_is_received_once(sink: ReadableSink) -> None:
    sink.write(batch_with(events("a", [0, 1, 3])))
    sink.write(batch_with(events("a", [0, 1, 3, 3, 4])))
    sink.write(batch_with(events("a", [3, 4])))
    total = account_of(sink).total
    assert (total.numbered, total.written, total.missing) == (5, 4, 1)


def test_many_small_batches_are_as_one(sink: ReadableSink) -> None:
    for number in range(12):
        sink.write(batch_with(events("ab"[number % 2], [number]), events("c", [2 * number])))
    sink.write(batch_with(state("c", 1, numbered=30, droppedClosed=2, waiting=1, ended=True)))
    sink.write(batch_with(state("c", 0, numbered=24, waiting=20), events("a", [0])))
    total = account_of(sink).total
    assert (total.numbered, total.written) == (11 + 12 + 30, 24)
    assert (dropped(total), total.on_the_way, total.unexplained) == ({"closed": 2}, 5 + 6 + 1, 15)


def test_the_account_is_read_without_preparing_the_sink(sink: ReadableSink, sink_url: str) -> None:
    sink.write(batch_with(events("a", [0, 1, 5])))
    sink.close()
    with closing(open_sink(sink_url)) as another:
        assert account_of(another).total == Outcome(6, 3, _no_drops(), 3, 0, 0)


def _no_drops() -> dict[str, int]:
    fields = catalog().latest("stream_state").fields
    return {f.column.removeprefix("dropped_"): 0 for f in fields if f.column.startswith("dropped_")}


def test_what_is_pruned_counts_as_received(database_url: str) -> None:
    with closing(open_database(database_url)) as sink:
        sink.prepare(catalog())
        sink.write(batch_with(events("a", [0, 1, 3], NOW_MS - DAY_MS), events("a", [4, 6]), state("a", numbered=9)))
        before = account_of(sink)
        assert isinstance(sink, Prunable)
        list(sink.prune(NOW_MS - 1))
        assert account_of(sink) == before
        list(sink.prune(NOW_MS + 1))
        assert sum(sink.counts().values()) == 0
        assert account_of(sink) == before
        sink.write(batch_with(events("a", [2, 5], NOW_MS + DAY_MS)))
        assert account_of(sink).total.written == 7


def test_the_account_moves_with_the_tables(database_url: str) -> None:
    with closing(open_database(database_url)) as sink, closing(sink.staging("next")) as other:
        sink.prepare(catalog())
        other.prepare(catalog())
        sink.write(batch_with(events("a", [0, 3])))
        other.write(batch_with(events("a", range(4)), events("b", [1])))
        before = account_of(sink), account_of(other)
        assert before[0] != before[1]
        sink.promote("next")
        assert (account_of(sink), account_of(other)) == (before[1], before[0])
        sink.write(batch_with(events("a", range(5))))
        assert account_of(sink).total.written == 6


def test_merging_changes_no_answer(database_url: str) -> None:
    with closing(open_database(database_url)) as sink:
        if not isinstance(sink, MergesAccount):
            assert database_url.startswith(("delta", "clickhouse"))  # which store by column
            return
        sink.prepare(catalog())
        for number in range(5):
            sink.write(batch_with(events("a", [number]), events("b", [2 * number], NOW_MS - number % 2 * DAY_MS)))
        sink.write(batch_with(state("a", numbered=9, waiting=2, droppedExpired=1), state("c", numbered=3, ended=True)))
        before = account_of(sink)
        assert sink.merge_account() == (12, 4)
        assert account_of(sink) == before
        sink.write(batch_with(events("a", [4, 5]), state("a", 1, numbered=10, droppedExpired=1, ended=True)))
        assert sink.merge_account() == (5, 4)
        after = account_of(sink)
        assert (after.total.written, after.total.numbered) == (11, 22)


def test_a_writer_that_was_fenced_is_not_counted(claimed_url: str) -> None:
    with closing(open_claimed(claimed_url)) as old, closing(open_claimed(claimed_url)) as new:
        for sink in (old, new):
            sink.prepare(catalog())
            sink.claim("group", [TP0])
        batch = replace(batch_with(events("a", [0, 2])), offsets={TP0: 2}, source="group")
        with pytest.raises(FencedError):
            old.write(batch)
        assert account_of(new).total.numbered == 0
        new.write(batch)
        assert account_of(new).total.written == 2
