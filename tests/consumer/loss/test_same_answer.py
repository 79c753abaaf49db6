"""Whoever fills a sink, and in whatever batches: the answer is the same."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

from flowise_telemetry_consumer import BatchLimits, ConsumerSettings, replay
from flowise_telemetry_consumer.errors import RowRefusedError
from flowise_telemetry_consumer.loss import loss_of
from flowise_telemetry_consumer.replay import replay_archive
from flowise_telemetry_consumer.sinks import Batch, Sink, open_sink
from flowise_telemetry_consumer.sinks.account.tables import LETTERS_TABLE
from flowise_telemetry_schemas import catalog
from tests.consumer.loss.streams import account_of, batch_with, dropped, events
from tests.consumer.sinks.roles import open_claimed
from tests.consumer.world import DLQ, GROUP, TOPIC, MemorySink, StopWhen, World


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "flowise_telemetry")


@pytest.fixture
def world() -> World:
    """A topic with 18 of 20 events of a stream that dropped one, one of them twice, and with three bad records."""
    made = World()
    made.send_good(7)
    made.skip_event()
    made.send_again(made.send_good(1)[0])
    made.send_bad()
    made.send_good(6)
    made.skip_event()
    made.send_state(numbered=20, waiting=0, droppedQueueFull=1, droppedInvalid=0, droppedClosed=0, ended=True)
    made.send_bad(b"")
    made.send_good(4)
    made.send_bad(b"\xc3\x01")
    return made


def filled(world: World, sink: Sink, *, rows: int, times: int = 1) -> Sink:
    for _ in range(times):
        limits = BatchLimits(rows=rows)
        result = replay(world.reader(None), sink, catalog(), TOPIC, restart=True, batch=limits, control=world.control)
        assert result.complete
    return sink


def test_replays_and_archives_give_one_answer(world: World, tmp_path: Path) -> None:
    with (
        closing(open_sink(f"sqlite:///{tmp_path}/a")) as once,
        closing(open_sink(f"sqlite:///{tmp_path}/b")) as often,
        closing(open_sink(f"duckdb:///{tmp_path}/c")) as third,
    ):
        answer = account_of(filled(world, once, rows=1_000))
        assert (answer.total.numbered, answer.total.written, answer.total.unexplained) == (20, 18, 1)
        assert dropped(answer.total) == {"queue_full": 1}
        assert answer.letters is not None
        assert sorted(reason for _, reason in answer.letters) == ["empty", "truncated", "unknown_framing"]
        assert account_of(filled(world, often, rows=2, times=3)) == answer
        result = replay_archive(once, third, catalog(), control=world.control)
        assert result.discrepancies() == []
        copied = account_of(third)
        assert (copied.total, copied.by_day, copied.by_instance) == (answer.total, answer.by_day, answer.by_instance)


class CountingSink(MemorySink):
    """A sink that counts dead letters by their ids."""

    def __init__(self) -> None:
        super().__init__()
        self.letters: dict[str, Mapping[str, object]] = {}

    def write(self, batch: Batch) -> object:  # type: ignore[override]  # hands through what it gets
        result = super().write(batch)
        if batch.letters is not None:
            for row in batch.letters.iter_rows(named=True):
                self.letters.setdefault(row["event_id"], row)
        return result

    def account(self, table: str, *, batch_rows: int = 10_000) -> Iterator[pl.DataFrame]:
        if table == LETTERS_TABLE and self.letters:
            yield pl.DataFrame(list(self.letters.values()))


@pytest.mark.parametrize("rows", [1, 3, 1_000])
def test_a_consumer_counts_each_dead_letter_once_however_often_it_is_read(world: World, rows: int) -> None:
    world.sink = CountingSink()
    settings = ConsumerSettings(topic=TOPIC, group=GROUP, batch=BatchLimits(rows=rows, age_seconds=1.0))
    for _ in range(2):
        world.consumer(settings=settings).run(StopWhen(world.all_committed))
        world.broker.group(GROUP).committed.clear()  # as after a crash before the commit
    letters = [*world.sink.letters.values()]
    assert sorted(str(letter["reason"]) for letter in letters) == ["empty", "truncated", "unknown_framing"]
    assert {letter["topic"] for letter in letters} == {TOPIC} != {DLQ}
    assert len({(letter["partition"], letter["record_offset"]) for letter in letters}) == 3


def test_a_row_that_the_sink_refuses_is_counted_with_its_letter() -> None:
    world = World(partitions=1)
    world.sink = sink = CountingSink()
    refused = world.send_good(9)[4]
    world.send_bad()

    def refuse(batch: Batch) -> None:
        if any(refused in frame["event_id"] for frame in batch.frames.values()):
            raise RowRefusedError("a rule of the table refuses a row")

    sink.on_write = refuse
    settings = ConsumerSettings(topic=TOPIC, group=GROUP, on_refused="dead-letter")
    world.consumer(settings=settings).run(StopWhen(world.all_committed))
    assert world.sink.event_ids() == world.accepted() - {refused}
    assert sorted(str(letter["reason"]) for letter in sink.letters.values()) == ["refused", "unknown_framing"]


def test_rows_of_before_are_counted_when_the_account_begins(tmp_path: Path) -> None:
    import sqlite3

    url = f"sqlite:///{tmp_path}/a"
    with closing(open_claimed(url)) as sink:
        sink.prepare(catalog())
        sink.write(batch_with(events("a", [0, 1, 4]), events("b", [2])))
        before = account_of(sink)
    with closing(sqlite3.connect(tmp_path / "a")) as db:
        db.execute("DROP TABLE flowise_telemetry_streams")
    for _ in range(2):
        with closing(open_claimed(url)) as sink:
            sink.prepare(catalog())
            assert account_of(sink) == before


def test_a_place_without_an_account_is_read_whole(tmp_path: Path) -> None:
    with closing(open_sink(f"jsonl:///{tmp_path}/a")) as sink:
        sink.prepare(catalog())
        sink.write(batch_with(events("a", [0, 1, 4])))
        answer = loss_of(sink, now_ms=0)
    assert (answer.total.missing, answer.letters) == (2, None)


def test_dead_letters_are_counted_once_in_every_sink(claimed_url: str) -> None:
    world = World()
    for _ in range(3):
        world.send_bad()
    world.send_bad(b"")
    with closing(open_claimed(claimed_url)) as sink:
        sink.prepare(catalog())
        filled(world, sink, rows=3, times=2)
        letters = account_of(sink).letters
    assert letters is not None
    assert {reason: count for (_, reason), count in letters.items()} == {"unknown_framing": 3, "empty": 1}
