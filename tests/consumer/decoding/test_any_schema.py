"""Properties of every schema that the check lets pass, not of ours alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from flowise_telemetry_consumer.decoding.decoder import Decoded, Decoder
from flowise_telemetry_schemas import Catalog, EventSchema, SchemaError, catalog, violations
from flowise_telemetry_schemas.check import problems
from flowise_telemetry_schemas.codec import decode, encode
from flowise_telemetry_transport.types import Record
from tests.consumer.world import records as on_the_topic
from tests.schemas.generated import later_versions, records_of, sources
from tests.thoroughness import examples

ROWS = 18  # a smaller block is decoded one by one


def both_ways(schemas: Catalog, listed: list[Record]) -> Decoded:
    """What decoding makes of the records; columns and one by one must agree."""
    columns = Decoder(schemas, block_rows=512).decode(listed)
    one_by_one = Decoder(schemas, block_rows=0).decode(listed)
    assert list(columns.dead) == list(one_by_one.dead)
    assert list(columns.frames) == list(one_by_one.frames)
    for name, frame in one_by_one.frames.items():
        assert_frame_equal(columns.frames[name], frame)
    return columns


def many(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**samples[number % len(samples)], "sequence": number} for number in range(ROWS)]


@pytest.mark.slow
@settings(max_examples=examples(0.6), suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_version_that_passes_reads_all_of_the_older_one_alike_both_ways(data: st.DataObject) -> None:
    source = data.draw(sources())
    first = EventSchema.read("made_up", 1, copy.deepcopy(source))
    try:
        second = EventSchema.read("made_up", 2, data.draw(later_versions(source)))
        schemas = Catalog((first, second))
    except SchemaError:  # no change on the wire, or a default that Avro refuses
        schemas = Catalog((first,))
    assume(problems(Catalog((first,))) == [])
    written = [
        encode(schema, record)
        for schema in schemas
        for record in many(data.draw(st.lists(records_of(schema), min_size=1, max_size=4)))
    ]
    decoded = both_ways(schemas, on_the_topic(written))
    passes = problems(schemas) == []
    event(f"{len(list(schemas))} versions, {'passed' if passes else 'refused'} by the check, {len(decoded.dead)} dead")
    if passes:
        assert decoded.dead == []
        assert decoded.rows == len(written)


@pytest.mark.parametrize("schema", list(catalog()), ids=lambda schema: f"{schema.event}.v{schema.version}")
@settings(max_examples=3, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_sample_of_each_version_keeps_the_bounds_of_the_newest(schema: EventSchema, data: st.DataObject) -> None:
    samples = data.draw(st.lists(records_of(schema), min_size=1, max_size=3))
    newest = catalog().latest(schema.event)
    written = [encode(schema, record) for record in many(samples)]
    for value in written:
        assert violations(newest, decode(value, catalog())[1]) == []
    assert both_ways(catalog(), on_the_topic(written)).rows == ROWS
