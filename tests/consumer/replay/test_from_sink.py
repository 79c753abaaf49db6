"""From an archive into a sink, from a topic onto another, and from an archive onto a topic."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import pytest

from flowise_telemetry_consumer import RecordFilter, ReplayRequest, SinkError, SinkUnavailableError, replay
from flowise_telemetry_consumer.replay import TopicSink, copy_topic, replay_archive, require_another_topic, topic_of
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_consumer.sinks.port import KeepsProgress, Readable, Sink, Stageable
from flowise_telemetry_schemas import ConfigurationError, catalog
from flowise_telemetry_transport import InMemoryBroker
from flowise_telemetry_transport.errors import DeliveryError, DeliveryTimeoutError
from flowise_telemetry_transport.types import OutgoingRecord, Record, TopicPartition, TopicSpec
from tests.consumer.world import TOPIC, MemorySink, StopWhen, World

COPY = "copy"
EVENTS = 60


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "flowise_telemetry")


@pytest.fixture
def world() -> World:
    made = World(partitions=2)
    made.send_good(EVENTS)
    made.broker.open_admin().create_topic(TopicSpec(COPY, 2))
    return made


@pytest.fixture(params=["delta", "sqlite", "duckdb"])
def archive(request: pytest.FixtureRequest, world: World, tmp_path: Path) -> Sink:
    sink = open_sink(f"{request.param}:///{tmp_path / 'archive'}")
    replay(world.reader(None), sink, catalog(), TOPIC, control=world.control)
    sink.close()
    return open_sink(f"{request.param}:///{tmp_path / 'archive'}")


def topic(world: World) -> TopicSink:
    return TopicSink(world.broker.open_writer(), COPY, catalog())


def records(world: World, name: str) -> list[Record]:
    logs = [world.broker.log(TopicPartition(name, partition)) for partition in range(2)]
    return [log.records[offset] for log in logs for offset in sorted(log.records)]


def test_an_archive_fills_a_sink_and_may_be_repeated(archive: Sink, world: World) -> None:
    target = MemorySink()
    result = replay_archive(archive, target, catalog(), control=world.control)
    assert result.discrepancies() == []
    assert (result.total, result.read, result.written) == (EVENTS, EVENTS, EVENTS)
    source = MemorySink()
    replay(world.reader(None), source, catalog(), TOPIC, control=world.control)
    assert target.rows == source.rows
    again = replay_archive(archive, target, catalog(), control=world.control)
    assert (again.written, sum(event.already_there for event in again.events.values())) == (0, EVENTS)


def test_an_archive_is_filtered_by_the_time_of_its_events(archive: Sink, world: World) -> None:
    target = MemorySink()
    tools = RecordFilter.of(catalog(), events=["tool_created"], to_ms=1_700_000_000_124)
    result = replay_archive(archive, target, catalog(), tools, control=world.control)
    assert (result.total, result.written) == (EVENTS // 6, EVENTS // 6)
    none = RecordFilter.of(catalog(), from_ms=1_700_000_000_124)
    result = replay_archive(archive, target, catalog(), none, control=world.control)
    assert (result.read, result.written, sum(event.filtered for event in result.events.values())) == (EVENTS, 0, EVENTS)


def test_a_sink_outage_is_waited_for_and_told_in_the_end(archive: Sink, world: World) -> None:
    target = MemorySink()
    target.failures = [SinkUnavailableError("gone fishing")] * 3
    assert replay_archive(archive, target, catalog(), control=world.control).incomplete is None
    target.failures = [SinkUnavailableError("gone fishing")] * 1_000
    result = replay_archive(archive, target, catalog(), control=world.control)
    assert (result.incomplete, result.discrepancies()) == ("the sink stayed unavailable: gone fishing", [])


def test_it_can_be_stopped(archive: Sink, world: World) -> None:
    result = replay_archive(
        archive, MemorySink(), catalog(), control=dataclasses.replace(world.control, stop=StopWhen(lambda: True))
    )
    assert result.incomplete == "stopped before the end"
    assert 0 < result.read < EVENTS


def test_an_archive_without_events_is_told(world: World, tmp_path: Path) -> None:
    with pytest.raises(SinkError):
        replay_archive(open_sink(f"sqlite:///{tmp_path / 'none.db'}"), MemorySink(), catalog(), control=world.control)
    empty = open_sink(f"sqlite:///{tmp_path / 'empty.db'}")
    empty.prepare(list(catalog()))
    with pytest.raises(SinkError, match="holds no events: name the place that a consumer wrote to"):
        replay_archive(empty, MemorySink(), catalog(), control=world.control)
    empty.close()


def test_a_topic_is_copied_byte_for_byte(world: World) -> None:
    world.send_bad(headers=(("trace", b"1"), ("trace", None)))
    world.send_bad(None)
    result = copy_topic(world.reader(None), topic(world), catalog(), ReplayRequest(topic=TOPIC), control=world.control)
    assert (result.discrepancies(), result.complete) == ([], True)
    assert (result.written.total(), result.written["no event"]) == (EVENTS + 2, 2)

    def content(name: str) -> list[tuple[object, ...]]:
        found = [(one.partition, one.key, one.value, one.headers, one.timestamp_ms) for one in records(world, name)]
        return sorted(found, key=repr)

    assert content(COPY) == content(TOPIC)


def test_a_copy_may_be_of_some_events(world: World) -> None:
    world.send_bad()
    selection = RecordFilter.of(catalog(), events=["tool_created"], where=[("sequence", "3"), ("sequence", "9")])
    request = ReplayRequest(topic=TOPIC, record_filter=selection)
    result = copy_topic(world.reader(None), topic(world), catalog(), request, control=world.control)
    assert result.discrepancies() == []
    assert (result.written, result.dead, result.filtered) == ({"tool_created": 2}, {"unknown_framing": 1}, EVENTS - 2)
    assert len(records(world, COPY)) == 2


def test_an_archive_goes_back_onto_a_topic(archive: Sink, world: World) -> None:
    result = replay_archive(archive, topic(world), catalog(), control=world.control)
    assert (result.written, result.discrepancies()) == (EVENTS, [])
    # As the producer sent them: key, value and partition.
    sent = {(record.key, record.value, record.partition) for record in records(world, TOPIC)}
    assert {(record.key, record.value, record.partition) for record in records(world, COPY)} == sent
    assert {record.timestamp_ms for record in records(world, COPY)} == {1_700_000_000_123}


def test_a_topic_that_does_not_take_records_is_an_outage_or_a_refusal(world: World) -> None:
    world.broker.fail_next_deliveries(DeliveryTimeoutError("slow"))
    request = ReplayRequest(topic=TOPIC)
    assert copy_topic(world.reader(None), topic(world), catalog(), request, control=world.control).complete
    world.broker.fail_next_deliveries(DeliveryTimeoutError("slow"), count=1_000_000)
    result = copy_topic(world.reader(None), topic(world), catalog(), request, control=world.control)
    assert result.incomplete == "the topic stayed unavailable: kafka://copy: slow"
    world.broker.clear_faults()
    world.broker.fail_next_deliveries(DeliveryError("not here"))
    with pytest.raises(SinkError, match="kafka://copy: not here"):
        copy_topic(world.reader(None), topic(world), catalog(), request, control=world.control)


def test_only_the_records_that_failed_are_sent_again(archive: Sink, world: World) -> None:
    world.broker.fail_next_deliveries(DeliveryTimeoutError("slow"), count=7)
    copy_topic(world.reader(None), topic(world), catalog(), ReplayRequest(topic=TOPIC), control=world.control)
    assert len(records(world, COPY)) == EVENTS
    world.broker.fail_next_deliveries(DeliveryTimeoutError("slow"), count=7)
    assert replay_archive(archive, topic(world), catalog(), control=world.control).written == EVENTS
    assert len(records(world, COPY)) == 2 * EVENTS


def test_records_that_are_still_on_their_way_are_waited_for(world: World) -> None:
    sink = TopicSink(world.broker.open_writer(), COPY, catalog(), flush_seconds=0)
    sent = [OutgoingRecord(COPY, b"key", b"value")] * 3
    world.broker.down = True
    with pytest.raises(SinkUnavailableError, match="3 records are not acknowledged yet"):
        sink.deliver(sent)
    world.broker.down = False
    sink.deliver(sent)
    assert len(records(world, COPY)) == 3


def test_a_topic_is_a_sink_and_no_more(world: World) -> None:
    sink: Sink = topic(world)
    assert sink.url == "kafka://copy"
    assert not isinstance(sink, KeepsProgress | Readable | Stageable)


def test_a_topic_is_another_one_by_its_id_or_on_another_cluster(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    other = InMemoryBroker()
    other.open_admin().create_topic(TopicSpec(TOPIC))
    here = world.reader(None), world.broker.open_admin()
    there = other.open_reader(), other.open_admin()
    require_another_topic(TOPIC, here, there)
    with pytest.raises(
        ConfigurationError, match="onto itself: the target's servers belong to the cluster that is read: name"
    ) as caught:
        require_another_topic(TOPIC, here, here)
    assert caught.value.argument == "sink"
    # Two clusters may have been made from the same files: the topic's own id tells.
    monkeypatch.setattr(other.cluster, "id", world.broker.cluster.id)
    require_another_topic(TOPIC, here, there)
    monkeypatch.setattr(other.cluster, "topic_id", lambda topic: None)
    with pytest.raises(ConfigurationError, match=r"belong to the cluster that is read \(id .*\): name another topic"):
        require_another_topic(TOPIC, here, there)
    monkeypatch.setattr(other.cluster, "id", None)
    with pytest.raises(ConfigurationError, match=f"a cluster told no id: give the copy another name than {TOPIC}"):
        require_another_topic(TOPIC, here, there)
    monkeypatch.setattr(other.cluster, "id", "another")
    require_another_topic(TOPIC, here, there)


@pytest.mark.parametrize("url", ["kafka://", "kafka://host:9092/topic", "sqlite://x", "kafka://a b"])
def test_what_is_no_topic_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="the URL of a topic is kafka://topic"):
        topic_of(url)
