"""A topic copied onto another one, and what becomes of records that it does not take."""

from __future__ import annotations

import logging

import pytest

from flowise_telemetry_consumer import RecordFilter, ReplayRequest, SinkError
from flowise_telemetry_consumer.replay import copy_topic
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport.errors import DeliveryError, DeliveryTimeoutError
from flowise_telemetry_transport.types import TopicSpec
from tests.consumer.replay.archives import COPY, EVENTS, records, topic
from tests.consumer.world import TOPIC, World


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "flowise_telemetry")


@pytest.fixture
def world() -> World:
    made = World(partitions=2)
    made.send_good(EVENTS)
    made.broker.open_admin().create_topic(TopicSpec(COPY, 2))
    return made


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
