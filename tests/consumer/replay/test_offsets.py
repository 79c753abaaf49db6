"""What a replay takes: bounds in offsets and times, filters, and what retention, compaction and deletion do to them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Collection, Iterable, Sequence

import pytest

from flowise_telemetry_consumer import (
    BatchLimits,
    Bound,
    RecordFilter,
    ReplayRequest,
    ReplayResult,
    Shard,
    TopicChangedError,
    replay,
)
from flowise_telemetry_consumer.sinks.port import Batch
from flowise_telemetry_schemas import ConfigurationError, catalog
from flowise_telemetry_schemas.codec import encode
from flowise_telemetry_transport.errors import BrokerUnavailableError
from flowise_telemetry_transport.types import OutgoingRecord, TopicPartition
from tests.consumer.world import TOPIC, InstantReader, World, event_id, value_of
from tests.schemas.records import ENVELOPE, EVENTS, record_of

NOW_MS = 1_700_000_000_000
DAY_MS = 86_400_000


def bound(text: str) -> Bound:
    return Bound.parse(text, now_ms=NOW_MS, argument="begin")


def ran(
    world: World,
    *,
    begin: str | None = None,
    end: str | None = None,
    partitions: Iterable[int] = (),
    events: Iterable[str] = (),
    where: Iterable[tuple[str, str]] = (),
    shard: Shard | None = None,
    rows: int = 1_000,
) -> ReplayResult:
    request = ReplayRequest(
        topic=TOPIC,
        begin=None if begin is None else bound(begin),
        end=None if end is None else bound(end),
        partitions=tuple(partitions),
        record_filter=RecordFilter.of(catalog(), events=events, where=where),
    )
    result = replay(
        world.reader(None),
        world.sink,
        catalog(),
        request,
        shard=shard,
        batch=BatchLimits(rows=rows),
        control=world.control,
    )
    assert result.discrepancies() == []
    assert result.complete
    return result


def send_at(world: World, times_ms: Sequence[int], *, partition: int = 0) -> None:
    """Sends event ``number`` at ``times_ms[number]``."""
    writer = world.broker.open_writer()
    for number, time_ms in enumerate(times_ms):
        outgoing = OutgoingRecord(TOPIC, b"k", value_of(number), timestamp_ms=time_ms, partition=partition)
        writer.send(outgoing, lambda delivery, error: None)
    writer.flush(timeout_seconds=1)


def numbers(world: World) -> list[int]:
    return sorted(int(found[-12:], 16) for found in world.sink.event_ids())


@pytest.mark.parametrize(
    ("text", "offset", "time_ms"),
    [
        ("1200", 1200, None),
        ("2023-11-14T22:13:20Z", None, NOW_MS),
        ("2023-11-14T23:13:20.5+01:00", None, NOW_MS + 500),
        ("2023-11-14", None, 1_699_920_000_000),
        ("2d ago", None, NOW_MS - 2 * DAY_MS),
        (" 90  minutes ago", None, NOW_MS - 5_400_000),
        ("1w ago", None, NOW_MS - 7 * DAY_MS),
        ("now", None, NOW_MS),
    ],
)
def test_a_bound_is_an_offset_a_time_or_an_age(text: str, offset: int | None, time_ms: int | None) -> None:
    assert (bound(text).offset, bound(text).time_ms) == (offset, time_ms)


@pytest.mark.parametrize("text", ["", "yesterday", "-5", "2 fortnights ago", "2023-13-01", "9" * 30])
def test_what_is_no_bound_is_refused_with_the_forms_there_are(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is not a bound: give an offset \(1200\), a time") as caught:
        bound(text)
    assert caught.value.argument == "begin"


@pytest.mark.parametrize(("begin", "end"), [("5", "5"), ("7", "2"), ("1d ago", "2d ago"), ("now", "2023-11-14")])
def test_a_reversed_range_is_refused(begin: str, end: str) -> None:
    with pytest.raises(ConfigurationError, match=f"the range is empty: {begin} is not before {end}") as caught:
        ReplayRequest(begin=bound(begin), end=bound(end))
    assert caught.value.argument == "begin"


def test_times_are_exact_though_they_run_backwards() -> None:
    world = World(partitions=1)
    # As an event of the range can follow one that is past it, and be followed by one that is before it.
    send_at(world, [NOW_MS + second * 1000 for second in (0, 50, 10, 90, 20, 5, 30, 60, 29)])
    result = ran(world, begin="2023-11-14T22:13:30Z", end="2023-11-14T22:13:50Z", rows=2)
    assert numbers(world) == [2, 4, 8]
    assert result.filtered == result.offsets - 3
    # Everything before the first record that is late enough was not even read.
    assert [part.start for part in result.partitions.values()] == [1]


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


def test_shards_divide_the_partitions_among_themselves() -> None:
    world = World(partitions=5)
    for partition in range(5):
        world.send_good(2, partition=partition)
    shares = [{tp.partition for tp in ran(world, shard=Shard.parse(text)).partitions} for text in ("1/3", "2/3", "3/3")]
    assert shares == [{0, 3}, {1, 4}, {2}]
    assert world.sink.event_ids() == world.accepted()


@pytest.mark.parametrize("text", ["", "1", "0/3", "4/3", "a/b", "1/0", "-1/2"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="give number/count") as caught:
        Shard.parse(text)
    assert caught.value.argument == "shard"


def test_events_are_told_by_their_fingerprint_and_dead_letters_stay_dead() -> None:
    world = World(partitions=1)
    world.send_good(60)
    world.send_bad()
    world.send_bad(value_of(3)[:12])  # a tool_created that is cut off
    result = ran(world, events=["tool_created"])
    wanted = [number for number in range(60) if EVENTS[number % len(EVENTS)].EVENT == "tool_created"]
    assert numbers(world) == wanted
    assert result.filtered == 60 - len(wanted)
    assert result.dead == {"unknown_framing": 1, "truncated": 1}


def test_fields_of_the_envelope_and_the_version_are_filters() -> None:
    world = World(partitions=1)
    other = "2fbd4c35-8f0f-8e0e-9cf0-1f0d3b0a9d11"
    schema = catalog().latest("tool_created")
    for number in range(40):
        envelope = dataclasses.replace(
            ENVELOPE,
            event_id=event_id(number),
            sequence=number,
            instance_id=other if number % 2 else ENVELOPE.instance_id,
        )
        record = record_of(EVENTS[3], envelope) | {"version": f"3.0.{number % 4}"}
        world.send_bad(encode(schema, record))
    by_instance = ran(world, where=[("instanceId", other.upper())])
    assert numbers(world) == list(range(1, 40, 2))
    assert by_instance.filtered == 20
    world.sink.rows.clear()
    ran(world, where=[("version", "3.0.1"), ("version", "3.0.2"), ("sequence", "5"), ("sequence", "6")])
    assert numbers(world) == [5, 6]
    world.sink.rows.clear()
    ran(world, where=[("occurred_at", "2023-11-14T22:13:20.123Z"), ("event_id", event_id(7))])
    assert numbers(world) == [7]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("toolName", "x", "not a field that every event has; there are: eventId, occurredAt, instanceId"),
        ("sequence", "many", "'many' is not a value of sequence, which is of type long"),
        ("occurredAt", "noon", "'noon' is not a value of occurredAt, which is of type timestamp"),
    ],
)
def test_a_filter_that_cannot_be_is_refused(name: str, value: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        RecordFilter.of(catalog(), where=[(name, value)])
    assert said in str(caught.value)
    assert caught.value.argument == "where"


def test_an_unknown_event_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match=r"no event .*; there are: assistant_created") as caught:
        RecordFilter.of(catalog(), events=["tool_deleted"])
    assert caught.value.argument == "events"


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
        TopicChangedError, match="topic events was deleted and created again while it was read: its id is another"
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
