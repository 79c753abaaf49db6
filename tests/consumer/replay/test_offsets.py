"""Offsets of a request: of each partition, by time, and those that retention removed."""

from __future__ import annotations

import pytest

from flowise_telemetry_schemas import ConfigurationError
from flowise_telemetry_transport.types import TopicPartition
from tests.consumer.replay.ranges import DAY_MS, NOW_MS, numbers, ran, send_at
from tests.consumer.world import TOPIC, World


def test_times_are_exact_though_they_run_backwards() -> None:
    world = World(partitions=1)
    # As an event of the range can follow one that is past it, and be followed by one that is before it.
    send_at(world, [NOW_MS + second * 1000 for second in (0, 50, 10, 90, 20, 5, 30, 60, 29)])
    result = ran(world, begin="2023-11-14T22:13:30Z", end="2023-11-14T22:13:50Z", rows=2)
    assert numbers(world) == [2, 4, 8]
    assert result.filtered == result.offsets - 3
    # Everything before the first record that is late enough was not even read.
    assert [part.start for part in result.partitions.values()] == [1]


@pytest.mark.parametrize("begin", ["0001-01-01", "1970-01-01T00:00+01:00", "1969-12-31T23:59:59.999Z", "9999w ago"])
def test_before_1970_is_the_beginning(begin: str) -> None:
    world = World(partitions=1)
    send_at(world, [-1, 0, 1, NOW_MS])
    assert ran(world, begin=begin).written.total() == 4
    assert ran(world, end=begin).written.total() == 0


def test_what_an_open_transaction_keeps_back_is_named() -> None:
    world = World(partitions=2)
    world.send_good(10, partition=0)
    world.send_good(10, partition=1)
    tp = TopicPartition(TOPIC, 0)
    world.broker.hold(tp, 4)
    result = ran(world)
    assert (result.written.total(), result.complete, result.held_back) == (14, True, {tp: [(4, 10)]})
    assert ran(world, end="7").held_back == {tp: [(4, 7)]}
    assert ran(world, end="4").held_back == {}
    world.broker.release(tp)
    again = ran(world)
    assert (again.held_back, again.written.total()) == ({}, 6)


def test_a_range_of_which_there_is_nothing_yet_reads_nothing() -> None:
    world = World(partitions=2)
    send_at(world, [NOW_MS, NOW_MS + 1])
    result = ran(world, begin="2024-01-01")
    assert result.offsets == 0


def test_records_of_a_time_are_found_where_the_cluster_cannot_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(partitions=1)
    send_at(world, [NOW_MS - DAY_MS, NOW_MS])
    monkeypatch.setattr(
        "flowise_telemetry_transport.memory.reader.InMemoryReader.offsets_for_times",
        lambda reader, times_ms: dict.fromkeys(times_ms),
    )
    assert ran(world, begin="1h ago").filtered == 1
    assert numbers(world) == [1]


def test_offsets_are_of_each_partition() -> None:
    world = World(partitions=3)
    world.send_good(10, partition=0)
    world.send_good(4, partition=1)
    result = ran(world, begin="2", end="6")
    assert [(part.start, part.end) for part in result.partitions.values()] == [(2, 6), (2, 4), (0, 0)]
    assert result.written.total() == 6


def test_partitions_can_be_chosen_and_are_checked() -> None:
    world = World(partitions=3)
    for partition in range(3):
        world.send_good(3, partition=partition)
    assert {tp.partition for tp in ran(world, partitions=[2, 0]).partitions} == {0, 2}
    with pytest.raises(
        ConfigurationError, match="topic events has no partition 7; it has the partitions 0 to 2"
    ) as caught:
        ran(world, partitions=[7])
    assert caught.value.argument == "partitions"


def test_a_beginning_past_every_end_is_refused() -> None:
    world = World(partitions=2)
    world.send_good(3, partition=0)
    with pytest.raises(ConfigurationError, match=r"no partition of events reaches offset 3 \(0: 3, 1: 0\)") as caught:
        ran(world, begin="3")
    assert caught.value.argument == "begin"


def test_what_retention_removed_from_the_range_is_named() -> None:
    world = World(partitions=2)
    world.send_good(10, partition=0)
    world.send_good(10, partition=1)
    world.broker.truncate(TopicPartition(TOPIC, 0), 4)
    asked = ran(world, begin="2")
    assert asked.missing == {TopicPartition(TOPIC, 0): [(2, 4)]}
    assert asked.written.total() == 6 + 8
    # Nobody asked for what was gone before.
    assert ran(world).missing == {}


def test_what_retention_may_have_removed_from_a_time_is_named() -> None:
    world = World(partitions=2)
    send_at(world, [NOW_MS - 3 * DAY_MS, NOW_MS - 2 * DAY_MS, NOW_MS - DAY_MS, NOW_MS])
    world.broker.truncate(TopicPartition(TOPIC, 0), 1)
    assert ran(world, begin="1h ago").missing == {}
    assert ran(world, begin="5d ago").missing == {TopicPartition(TOPIC, 0): [(0, 1)]}
