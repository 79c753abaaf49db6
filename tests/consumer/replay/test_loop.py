from __future__ import annotations

import dataclasses
import logging

import pytest

from flowise_telemetry_consumer import (
    BatchLimits,
    Bound,
    ReplayRequest,
    ReplayResult,
    SinkError,
    SinkUnavailableError,
    replay,
)
from flowise_telemetry_consumer.sinks.port import Batch, WriteResult
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport.errors import UnknownTopicError
from flowise_telemetry_transport.types import TopicPartition
from tests.consumer.world import GROUP, TOPIC, StopWhen, World


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "flowise_telemetry")


def replayed(world: World, *, rows: int = 1_000, stop: StopWhen | None = None) -> ReplayResult:
    result = replay(
        world.reader(None),
        world.sink,
        catalog(),
        TOPIC,
        batch=BatchLimits(rows=rows),
        control=dataclasses.replace(world.control, stop=stop),
    )
    assert result.discrepancies() == []
    return result


def test_a_replay_fills_a_sink_and_accounts_for_every_offset() -> None:
    world = World(partitions=2)
    world.send_good(10, partition=0)
    world.send_bad(partition=0)
    world.send_good(5, partition=0)
    world.send_good(4, partition=1)
    lost = world.broker.log(TopicPartition(TOPIC, 1)).records[1]
    world.broker.remove_records(TopicPartition(TOPIC, 1), [1, 3])
    world.broker.break_record(TopicPartition(TOPIC, 0), 12)
    result = replayed(world, rows=3)
    assert result.complete
    assert result.offsets == result.offsets_read == 20
    first, second = (result.partitions[tp] for tp in world.partitions)
    assert (first.written, first.already_there, first.dead, first.gaps) == (14, 0, 2, 0)
    assert (second.written, second.gaps, second.complete) == (2, 2, True)
    assert result.dead == {"unknown_framing": 1, "unreadable": 1}
    assert (lost.key or b"").decode() not in world.sink.event_ids()


def test_a_replay_may_be_repeated() -> None:
    world = World()
    world.send_good(10)
    replayed(world)
    again = replayed(world)
    assert again.written.total() == 0
    assert again.already_there.total() == 10
    assert world.sink.event_ids() == world.accepted()


def test_a_replay_ends_where_the_topic_ended_when_it_began() -> None:
    world = World(partitions=1)
    world.send_good(10)

    def more(_batch: Batch) -> None:
        world.send_good(5)

    world.sink.on_write = more
    result = replayed(world, rows=4)
    assert result.complete
    assert result.written.total() == 10


def test_a_replay_touches_no_group_and_writes_no_dead_letters() -> None:
    world = World()
    world.send_good(3)
    world.send_bad()
    replayed(world)
    assert GROUP not in world.broker.groups
    assert world.dead_records() == []


def test_an_empty_topic_is_complete_at_once() -> None:
    result = replayed(World())
    assert result.complete
    assert result.offsets == 0


def test_a_range_may_be_given() -> None:
    world = World(partitions=1)
    world.send_good(10)
    result = replay(
        world.reader(None),
        world.sink,
        catalog(),
        ReplayRequest(topic=TOPIC, begin=Bound("2", offset=2), end=Bound("5", offset=5)),
        control=world.control,
    )
    assert result.complete
    assert result.written.total() == 3


def test_a_topic_that_is_missing_is_told() -> None:
    world = World()
    with pytest.raises(UnknownTopicError):
        replay(world.reader(None), world.sink, catalog(), "nowhere", control=world.control)


def test_a_broker_that_goes_away_leaves_it_incomplete_with_what_was_read_written() -> None:
    world = World(partitions=1)
    world.send_good(5_100)  # more than one poll takes

    def broker_goes(_batch: Batch) -> None:
        world.broker.down = True

    world.sink.on_write = broker_goes
    started = world.clock.now
    result = replay(
        world.reader(None),
        world.sink,
        catalog(),
        TOPIC,
        batch=BatchLimits(rows=100),
        control=dataclasses.replace(world.control, no_progress_seconds=30),
    )
    assert result.incomplete == "no records received for 30 s from events[0] at offset 100"
    assert 30 <= world.clock.now - started < 40
    assert 0 < result.offsets_read == result.written.total() < 5_100


def test_a_broker_that_comes_back_is_waited_for() -> None:
    world = World(partitions=1)
    world.send_good(500)
    turns: list[int] = []

    def broker_goes(_batch: Batch) -> None:
        world.broker.down = not turns

    def broker_returns() -> bool:
        if world.broker.down:
            turns.append(1)
            world.broker.down = len(turns) < 20
        return False

    world.sink.on_write = broker_goes
    result = replayed(world, rows=100, stop=StopWhen(broker_returns))
    assert len(turns) == 20
    assert result.complete
    assert world.sink.event_ids() == world.accepted()


def test_a_sink_that_loses_count_is_told() -> None:
    world = World(partitions=1)
    world.send_good(10)
    honest = world.sink.write

    def forgetful(batch: Batch) -> WriteResult:
        done = honest(batch)
        return WriteResult({event: count - 1 for event, count in done.written.items()}, done.duplicates)

    world.sink.write = forgetful  # type: ignore[method-assign]  # a fault on purpose
    result = replay(world.reader(None), world.sink, catalog(), TOPIC, control=world.control)
    assert result.complete
    (line,) = result.discrepancies()
    assert line == "partition 0: 10 offsets read, 5 records and 0 gaps"


def test_a_sink_outage_is_waited_for() -> None:
    world = World()
    world.send_good(10)
    world.sink.failures = [SinkUnavailableError("gone fishing")] * 3
    result = replayed(world)
    assert result.complete
    assert world.sink.event_ids() == world.accepted()


def test_a_sink_that_stays_away_leaves_it_incomplete() -> None:
    world = World()
    world.send_good(10)
    world.sink.failures = [SinkUnavailableError("gone fishing")] * 1_000
    result = replayed(world)
    assert result.incomplete == "the sink stayed unavailable: gone fishing"
    assert result.offsets_read == 0


def test_a_sink_that_refuses_ends_it() -> None:
    world = World()
    world.send_good(10)
    world.sink.failures = [SinkError("no such table")]
    with pytest.raises(SinkError):
        replayed(world)


def test_a_replay_that_is_stopped_has_written_what_it_says() -> None:
    world = World(partitions=1)
    world.send_good(5_100)
    result = replayed(world, stop=StopWhen(lambda: len(world.sink.rows["tool_created"]) > 0))
    assert result.incomplete is not None
    assert 0 < result.offsets_read < 5_100
    assert len(world.sink.event_ids()) == result.written.total() == result.offsets_read
