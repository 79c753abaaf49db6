"""A range that changes while it is read: a topic created again, retention, a broker that goes away."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Collection

import pytest

from flowise_telemetry_consumer import (
    BatchLimits,
    TopicChangedError,
    replay,
)
from flowise_telemetry_consumer.reading.offset_range import OffsetRange
from flowise_telemetry_consumer.reading.range_reader import RangeReader
from flowise_telemetry_consumer.sinks.port import Batch
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport.errors import BrokerUnavailableError
from flowise_telemetry_transport.types import TopicPartition
from tests.consumer.replay.ranges import ran
from tests.consumer.world import TOPIC, InstantReader, StopWhen, World


def test_a_topic_that_is_made_again_meanwhile_is_told_by_its_ends_where_it_has_no_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(partitions=1)
    world.send_good(5_200)
    monkeypatch.setattr(world.broker.cluster, "topic_id", lambda topic: None)
    written: list[Batch] = []

    def make_again(batch: Batch) -> None:
        if not written:
            world.broker.recreate(TOPIC)
            world.send_good(10)
        written.append(batch)

    world.sink.on_write = make_again
    with pytest.raises(
        TopicChangedError, match="topic events was deleted and created again while it was read: partition 0 ends"
    ):
        replay(world.reader(None), world.sink, catalog(), TOPIC, batch=BatchLimits(rows=100), control=world.control)


def test_a_topic_that_is_made_again_and_has_grown_past_the_position_is_told() -> None:
    world = World(partitions=1)
    world.send_good(5_200)

    def make_again(_batch: Batch) -> None:
        if world.broker.topic_id(TOPIC) == first:
            world.broker.recreate(TOPIC)
            world.send_good(5_300)

    first = world.broker.topic_id(TOPIC)
    world.sink.on_write = make_again
    with pytest.raises(
        TopicChangedError, match="topic events was deleted and created again while it was read: its id has changed"
    ):
        replay(world.reader(None), world.sink, catalog(), TOPIC, batch=BatchLimits(rows=2_000), control=world.control)
    assert sum(world.sink.counts().values()) < 5_200, "it is told before the end is written"


def test_a_broker_that_is_away_at_the_last_look_leaves_the_replay_incomplete(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(partitions=1)
    world.send_good(20)
    world.broker.remove_records(TopicPartition(TOPIC, 0), [3])
    begins, asked = InstantReader.beginning_offsets, itertools.count()

    def away(reader: InstantReader, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        if next(asked):
            raise BrokerUnavailableError("no broker answered")
        return begins(reader, partitions)

    monkeypatch.setattr(InstantReader, "beginning_offsets", away)
    result = replay(world.reader(None), world.sink, catalog(), TOPIC, control=world.control)
    assert (result.complete, result.offsets_read) == (False, 0)
    assert "the broker did not say what retention removed: no broker answered" in str(result.incomplete)


def test_what_retention_removes_meanwhile_is_named_and_compaction_is_not() -> None:
    world = World(partitions=1)
    tp = TopicPartition(TOPIC, 0)
    world.send_good(400)
    world.broker.remove_records(tp, [3, 4, 350])

    def expire(_batch: Batch) -> None:
        world.broker.truncate(tp, 300)

    world.sink.on_write = expire
    result = ran(world, rows=100)
    assert result.missing == {tp: [(102, 300)]}
    assert result.partitions[tp].gaps == 2 + 198 + 1


def reader_of(world: World, *, stop: StopWhen | None = None, poll_records: int = 5_000) -> RangeReader:
    reader = world.reader(None)
    control = dataclasses.replace(world.control, no_progress_seconds=30, stop=stop)
    return RangeReader(reader, OffsetRange.of(reader, TOPIC), control, poll_records=poll_records)


def test_the_spans_of_a_partition_follow_each_other_and_account_for_every_offset() -> None:
    world = World(partitions=2)
    for partition in (0, 1):
        world.send_good(30, partition=partition)
    world.broker.remove_records(TopicPartition(TOPIC, 0), [3, 4, 29])
    world.broker.break_record(TopicPartition(TOPIC, 1), 12)
    source = reader_of(world, poll_records=7)
    positions = dict(source.positions)
    for poll in source:
        assert poll.missing == {}
        for span in poll.spans:
            assert span.start == positions[span.partition]
            assert span.end - span.start == len(span.records) + len(span.unreadable) + span.gaps
            positions[span.partition] = span.end
    assert (source.incomplete, source.done) == (None, True)
    assert positions == source.positions == dict.fromkeys(world.partitions, 30)


def test_each_loss_is_reported_once() -> None:
    world = World(partitions=1)
    tp = TopicPartition(TOPIC, 0)
    world.send_good(100)
    source = reader_of(world, poll_records=10)
    losses = []
    for number, poll in enumerate(source):
        losses += [(at, *each) for at, ranges in poll.missing.items() for each in ranges]
        if number in {0, 2}:
            world.broker.truncate(tp, source.positions[tp] + 5)
    assert losses == [(tp, 10, 15), (tp, 35, 40)]
    assert source.incomplete is None


def test_a_broker_that_is_away_is_waited_for_and_then_says_where_nothing_came_from() -> None:
    world = World(partitions=3)
    for partition in range(3):
        world.send_good(10, partition=partition)
    source = reader_of(world, poll_records=10)
    empty = 0
    for poll in source:
        world.broker.down = True
        empty += not poll.spans
    message = r"no records received for 30 s from events\[[01]\] at offset 0 \(and 1 more partition\)"
    assert re.fullmatch(message, str(source.incomplete))
    assert empty > 1, "empty polls are handed out, so that what waits can be written"


def test_a_stopped_read_is_incomplete() -> None:
    world = World(partitions=1)
    world.send_good(20)
    polls = 0

    def enough() -> bool:
        return polls == 1

    source = reader_of(world, stop=StopWhen(enough), poll_records=5)
    for poll in source:
        polls += 1
        assert [len(span.records) for span in poll.spans] == [5]
    assert (polls, str(source.incomplete), source.done) == (1, "stopped before the end of events", False)
