"""Every version of a schema, written by every version of it, read by every consumer, by both ways, into every sink."""

from __future__ import annotations

import functools
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import fastavro
import pytest
from polars.testing import assert_frame_equal

from flowise_telemetry_consumer.decoding.decoder import Decoder
from flowise_telemetry_consumer.decoding.frames import frame_of
from flowise_telemetry_consumer.sinks import Batch
from flowise_telemetry_schemas import Catalog, EventSchema, catalog
from flowise_telemetry_schemas.codec import MARKER
from tests.consumer.sinks.batches import held, records
from tests.consumer.sinks.roles import open_readable
from tests.consumer.world import event_id
from tests.consumer.world import records as on_the_topic

NEWEST = max(schema.version for schema in catalog())
ROWS = 18  # of one writer on one path; a smaller block is decoded one by one
PATHS = {"columns": 512, "one by one": 0}


@functools.cache
def consumer(version: int) -> Catalog:
    """The schemas of a consumer that was released with these versions at the latest."""
    return Catalog(tuple(schema for schema in catalog() if schema.version <= version))


def written_by(schema: EventSchema, first: int) -> Iterator[dict[str, Any]]:
    """Records of an app of this version; each has an id of its own."""
    samples = records(0, repeat=ROWS)[schema.event][:ROWS]
    own = {field.name for field in schema.fields}
    for number, sample in enumerate(samples, start=first):
        record = {name: value for name, value in sample.items() if name in own}
        yield record | {"eventId": event_id(number), "sequence": number}


def message(schema: EventSchema, record: Mapping[str, Any]) -> bytes:
    out = io.BytesIO()
    out.write(MARKER + schema.fingerprint)
    fastavro.schemaless_writer(out, schema.wire, record)
    return out.getvalue()


def as_newest(schema: EventSchema, record: Mapping[str, Any]) -> dict[str, Any]:
    """The record as the newest version has it: what its writer did not know is the default, which stands for that."""
    newest = catalog().latest(schema.event)
    return {**{field.name: field.default for field in newest.fields if field.has_default}, **record}


def test_every_writer_reader_path_and_sink(sink_url: str) -> None:
    expected: dict[str, list[dict[str, Any]]] = {}
    letters: list[bytes | None] = []
    combinations = 0
    # One consumer after the other, as they are upgraded, on the same tables.
    for version in range(1, NEWEST + 1):
        sink = open_readable(sink_url)
        sink.prepare(consumer(version))
        for block_rows in PATHS.values():
            values: list[bytes] = []
            readable: Counter[str] = Counter()
            for schema in catalog():
                made = list(written_by(schema, first=combinations * ROWS))
                values += [message(schema, record) for record in made]
                expected.setdefault(schema.event, []).extend(as_newest(schema, record) for record in made)
                readable[schema.event] += ROWS if schema.version <= version else 0
                combinations += 1
            decoded = Decoder(consumer(version), block_rows=block_rows).decode(on_the_topic(values))
            assert sink.write(Batch(frames=decoded.frames)).written == readable
            assert decoded.one_by_one == (0 if block_rows else readable.total())
            assert len(decoded.dead) == len(values) - readable.total()
            assert all(letter.reason == "unknown_fingerprint" for letter in decoded.dead)
            letters += [letter.record.value for letter in decoded.dead]
        sink.close()
    assert combinations == len(list(catalog())) * NEWEST * len(PATHS)
    # The last one is upgraded: what it could not read is redriven, and all is there.
    sink = open_readable(sink_url)
    sink.prepare(catalog())
    redriven = Decoder(catalog()).decode(on_the_topic(letters))
    assert (redriven.rows, redriven.dead) == (len(letters), [])
    sink.write(Batch(frames=redriven.frames))
    for event, rows in expected.items():
        assert_frame_equal(held(sink, event), frame_of(catalog().latest(event), rows).sort("event_id"))
    sink.close()


@pytest.mark.parametrize("schema", list(catalog()), ids=lambda schema: f"{schema.event}.v{schema.version}")
def test_both_ways_of_decoding_give_the_same(schema: EventSchema) -> None:
    values = on_the_topic([message(schema, record) for record in written_by(schema, first=0)])
    for version in range(schema.version, NEWEST + 1):
        columns, one_by_one = (Decoder(consumer(version), block_rows=rows).decode(values) for rows in PATHS.values())
        assert_frame_equal(columns.frames[schema.event], one_by_one.frames[schema.event])
