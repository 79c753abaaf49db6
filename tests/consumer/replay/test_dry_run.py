"""A dry run says what a replay then does, and leaves nothing behind."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from flowise_telemetry_consumer import Bound, RecordFilter, ReplayRequest, replay
from flowise_telemetry_consumer.replay import ReplayPlan, plan_replay
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport.types import TopicPartition
from tests.consumer.sinks.roles import open_readable
from tests.consumer.world import TOPIC, StopWhen, World, value_of

ALL = ReplayRequest(topic=TOPIC)


@pytest.fixture
def world() -> World:
    made = World(partitions=2)
    made.send_good(60, partition=0)
    made.send_bad(partition=0)
    made.send_bad(value_of(3), partition=1)  # an event a second time
    made.broker.remove_records(TopicPartition(TOPIC, 0), [5])
    return made


def planned(world: World, url: str, request: ReplayRequest = ALL) -> ReplayPlan:
    sink = open_readable(url)
    try:
        return plan_replay(world.reader(None), sink, catalog(), request, control=world.control)
    finally:
        sink.close()


@pytest.mark.parametrize("scheme", ["sqlite", "duckdb", "delta"])
def test_it_says_what_the_replay_then_does(world: World, tmp_path: Path, scheme: str) -> None:
    url = f"{scheme}:///{tmp_path / 'copy'}"
    request = ReplayRequest(topic=TOPIC, record_filter=RecordFilter.of(catalog(), events=["tool_created"]))
    plan = planned(world, url, request)
    assert list(tmp_path.iterdir()) == [], "not even the sink is made"
    first, second = plan.partitions.values()
    assert (first.records, first.filtered, first.dead, first.gaps) == (60, 49, 1, 1)
    assert (second.records, second.filtered) == (1, 0)
    assert second.value_bytes == len(value_of(3))
    assert (plan.events, plan.already_there, plan.dead) == (
        {"tool_created": 11},
        {"tool_created": 1},
        {"unknown_framing": 1},
    )
    sink = open_readable(url)
    result = replay(world.reader(None), sink, catalog(), request, control=world.control)
    sink.close()
    assert plan.run == result.run
    assert result.written == plan.events - plan.already_there
    assert result.already_there == plan.already_there
    again = planned(world, url)
    assert again.already_there == {"tool_created": 11}
    assert again.events.total() - again.already_there.total() == 49
    assert again.sink_error is None


def test_it_tells_what_is_left_of_an_unfinished_one(world: World, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'copy.db'}"
    sink = open_readable(url)
    replay(
        world.reader(None),
        sink,
        catalog(),
        ALL,
        control=dataclasses.replace(world.control, stop=StopWhen(lambda: True)),
    )
    sink.close()
    plan = planned(world, url)
    assert plan.resumes
    assert plan.events.total() == 60


def test_what_retention_removed_is_in_it(world: World, tmp_path: Path) -> None:
    tp = TopicPartition(TOPIC, 0)
    world.broker.truncate(tp, 10)
    asked = ReplayRequest(topic=TOPIC, begin=Bound("3", offset=3))
    with pytest.raises(Exception, match="there is no such file"):
        open_readable(f"sqlite:///{tmp_path / 'none.db'}").counts()
    plan = planned(world, f"sqlite:///{tmp_path / 'copy.db'}", asked)
    assert plan.missing == {tp: [(3, 10)]}
    assert plan.sink_error is not None


def test_what_is_left_of_an_unfinished_one_is_told_by_its_own_arguments(world: World, tmp_path: Path) -> None:
    url, day_ms = f"sqlite:///{tmp_path / 'copy.db'}", 86_400_000
    today, in_a_week = (
        ReplayRequest(topic=TOPIC, begin=Bound.parse("1d ago", now_ms=world.clock.now_ms() + later, argument="begin"))
        for later in (0, 7 * day_ms)
    )
    sink = open_readable(url)
    replay(
        world.reader(None),
        sink,
        catalog(),
        today,
        control=dataclasses.replace(world.control, stop=StopWhen(lambda: True)),
    )
    sink.close()
    plan = planned(world, url, in_a_week)
    assert (plan.resumes, plan.run) == (True, today.run_id(url))
    assert plan.events.total() == 60
    assert sum(part.filtered for part in plan.partitions.values()) == 0
