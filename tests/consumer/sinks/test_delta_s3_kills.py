"""A writer on object storage that is killed at each of its requests in turn, as tests of folders do with theirs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace

import pytest

from flowise_telemetry_consumer.sinks.delta import DeltaSink
from flowise_telemetry_consumer.sinks.delta.address import place_of
from flowise_telemetry_consumer.sinks.delta.object_store import ObjectStore
from flowise_telemetry_schemas import EventSchema, catalog
from tests.consumer.sinks.bad_days import MANY, BadDays, InterruptedHereError
from tests.consumer.sinks.batches import batch, held, sizes
from tests.consumer.sinks.roles import open_claimed
from tests.consumer.sinks.test_delta import TP0, numbers, tools
from tests.thoroughness import IS_CI

pytestmark = pytest.mark.slow  # object storage runs in the tests' process

# Each step of them in `make test-objects`, some elsewhere: moto is slow.
BATCH_STEP, PROMOTION_STEP = (1, 1) if os.environ.get("TEST_OBJECTS") == "1" else (4, 12) if IS_CI else (12, 40)
TOOL_CREATED = catalog().latest("tool_created")


class StoreOfBadDays(BadDays, ObjectStore):
    """An object storage whose writer is killed after so many requests that change something."""


def sink_at(url: str, schemas: Iterable[EventSchema]) -> tuple[StoreOfBadDays, DeltaSink]:
    store = StoreOfBadDays(place_of(url, {}))
    sink = DeltaSink(store)
    sink.prepare(schemas)
    return store, sink


def test_a_batch_that_is_cut_off_anywhere_is_not_shown_and_completed_by_the_next_delivery(s3_url: str) -> None:
    store, sink = sink_at(s3_url, catalog())
    sink.claim("group", [TP0])
    sink.write(replace(batch(0), offsets={TP0: 1}, source="group"))
    offset, steps_left = 1, 0
    while True:
        store.steps_left = steps_left
        try:
            sink.write(replace(batch(offset), offsets={TP0: offset + 1}, source="group"))
            break
        except InterruptedHereError:
            store.steps_left = MANY
        reader = open_claimed(s3_url)
        assert reader.counts() == {event: offset * size for event, size in sizes(batch()).items()}
        assert held(reader, "tool_created").height == offset * sizes(batch())["tool_created"]
        # A successor one time, and the same sink, which does not know what got through, the next.
        if steps_left % 2:
            store, sink = sink_at(s3_url, catalog())
        assert sink.claim("group", [TP0])[TP0] == offset
        sink.write(replace(batch(offset), offsets={TP0: offset + 1}, source="group"))
        offset += 1
        steps_left += BATCH_STEP
    assert steps_left > 10
    assert sink.counts() == {event: (offset + 1) * size for event, size in sizes(batch()).items()}


def test_a_promotion_that_is_killed_anywhere_is_finished_by_whoever_comes_next(s3_url: str) -> None:
    steps_left = 0
    while True:
        url = s3_url.replace("/events?", f"/{steps_left}?")
        store, live = sink_at(url, [TOOL_CREATED])
        staging = live.staging("next")
        staging.prepare([TOOL_CREATED])
        live.write(tools(0, 1))
        staging.write(tools(2))
        store.steps_left = steps_left
        try:
            live.promote("next")
            break
        except InterruptedHereError:
            store.steps_left = MANY
        assert numbers(sink_without_writing(url)) in ([0, 1], [2])
        _, comer = sink_at(url, [TOOL_CREATED])
        comer.write(tools(3))
        # Nothing was promoted where it was killed before it had written down what is to be done.
        assert numbers(comer) == ([2, 3] if steps_left > 1 else [0, 1, 3])
        steps_left += PROMOTION_STEP
    assert steps_left > 10


def sink_without_writing(url: str) -> DeltaSink:
    """One that only reads, and so finishes nothing."""
    return DeltaSink(ObjectStore(place_of(url, {})))
