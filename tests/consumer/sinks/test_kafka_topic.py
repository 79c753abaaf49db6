"""A topic as a sink."""

from __future__ import annotations

import pytest

from flowise_telemetry_consumer import SinkUnavailableError
from flowise_telemetry_consumer.replay import TopicSink, topic_of
from flowise_telemetry_consumer.sinks.port import KeepsProgress, Readable, Sink, Stageable
from flowise_telemetry_schemas import ConfigurationError, catalog
from flowise_telemetry_transport.types import OutgoingRecord
from tests.consumer.replay.archives import COPY, records, topic
from tests.consumer.world import World


@pytest.fixture
def world() -> World:
    return World()


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


@pytest.mark.parametrize("url", ["kafka://", "kafka://host:9092/topic", "sqlite://x", "kafka://a b"])
def test_what_is_no_topic_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="the URL of a topic is kafka://topic"):
        topic_of(url)
