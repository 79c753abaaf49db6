"""Filters: by event before decoding, by fields after it."""

from __future__ import annotations

import dataclasses

import pytest

from flowise_telemetry_consumer import (
    RecordFilter,
)
from flowise_telemetry_schemas import ConfigurationError, catalog
from flowise_telemetry_schemas.codec import encode
from tests.consumer.replay.ranges import numbers, ran
from tests.consumer.world import World, event_id, value_of
from tests.schemas.records import ENVELOPE, EVENTS, record_of


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
