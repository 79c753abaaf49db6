"""Events that the package does not ship, in every sink: decoded by both ways, written, and read without ``prepare``."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from flowise_telemetry_consumer.decoding.decoder import Decoder
from flowise_telemetry_consumer.sinks import Batch, Erasable, KnowsEvents, Prunable, Stageable, open_sink
from flowise_telemetry_consumer.sinks.erasures import ErasedIds
from flowise_telemetry_schemas import Catalog, Event, EventSchema, event_from_json
from flowise_telemetry_schemas.codec import encode
from flowise_telemetry_schemas.own_events import read_own_events
from tests.consumer.sinks.batches import held, sizes
from tests.consumer.sinks.roles import ReadableSink, open_database, open_readable
from tests.consumer.world import event_id
from tests.consumer.world import records as on_the_topic
from tests.schemas.own_folder import COUNT, add, write
from tests.schemas.records import ENVELOPE, EVENTS, record_of

THINGS = 6
LABELS = (None, "ab", "abcd")


@pytest.fixture
def schemas(tmp_path: Path) -> Catalog:
    folder = tmp_path / "own"
    folder.mkdir()
    write(folder)
    write(folder, "order", lambda source: add(source, "group", COUNT))  # words that databases keep for themselves
    return read_own_events(folder).catalog


def batch(schemas: Catalog) -> Batch:
    """Own and shipped events, as the consumer decodes them; columns and one by one must agree."""
    events: list[Event] = [EVENTS[0]]
    for n in range(THINGS):
        thing = {
            "version": "3.1.0",
            "kind": "ONE",
            "isNew": n > 3,
            "points": [{"x": n % 9, "y": 0}] * (n % 3),
            "label": LABELS[n % 3],
        }
        events.append(event_from_json({"event": "thing_made", "properties": thing}, schemas=schemas))
    events.append(event_from_json({"event": "order", "properties": {"version": "3.1.0", "group": 3}}, schemas=schemas))
    values = []
    for number, event in enumerate(events):
        record = record_of(event, dataclasses.replace(ENVELOPE, event_id=event_id(number), sequence=number))
        values.append(encode(schemas.latest(event.EVENT), record))
    columns, one_by_one = (Decoder(schemas, block_rows=rows).decode(on_the_topic(values)) for rows in (512, 0))
    assert (columns.dead, one_by_one.dead) == ([], [])
    for name, frame in one_by_one.frames.items():
        assert_frame_equal(columns.frames[name], frame)
    return Batch(frames=columns.frames)


def opened(url: str, schemas: Iterable[EventSchema]) -> ReadableSink:
    """A sink that was told of them, and not prepared."""
    sink = open_sink(url, schemas)
    assert isinstance(sink, ReadableSink)
    assert isinstance(sink, KnowsEvents)
    return sink


def few(schemas: Catalog) -> list[EventSchema]:
    """Those that are written: tables take their time."""
    return [schema for schema in schemas if schema.is_own or schema.event == EVENTS[0].EVENT]


def test_every_database_takes_them_and_gives_them_back_without_prepare(database_url: str, schemas: Catalog) -> None:
    written = batch(schemas)
    there = sizes(written)
    with closing(open_database(database_url)) as sink, closing(sink.staging("rebuilt")) as staging:
        for each in (sink, staging):
            each.prepare(few(schemas))
            assert each.write(written).written == there
    with closing(opened(database_url, few(schemas))) as reading:
        assert isinstance(reading, Stageable)
        reading.promote("rebuilt")
        assert Counter(reading.counts()) == Counter(there)
        for event, frame in written.frames.items():
            assert_frame_equal(held(reading, event), frame.sort("event_id"))
    with closing(opened(database_url, few(schemas))) as removing:
        assert isinstance(removing, Prunable)
        assert isinstance(removing, Erasable)
        old = Counter[str]()
        for step in removing.prune(ENVELOPE.occurred_at_ms + 1, dry_run=True):
            old.update(step)
        assert old == Counter(there)
        for _ in removing.erase(ErasedIds.of({"instance_id": [ENVELOPE.instance_id]})):
            pass
        assert sum(removing.counts().values()) == 0
    with closing(open_sink(database_url, few(schemas))) as aware, closing(open_sink(database_url)) as unaware:
        assert isinstance(aware, KnowsEvents)
        assert isinstance(unaware, KnowsEvents)
        assert aware.unknown_tables() == []
        its = unaware.unknown_tables()
        assert {"order", "thing_made"} < set(its)  # and the staging ones
        assert len(its) == 4


def test_a_file_of_lines_gives_them_back_without_prepare(tmp_path: Path, schemas: Catalog) -> None:
    url, written = f"jsonl:///{tmp_path}/events.jsonl", batch(schemas)
    with closing(open_readable(url)) as sink:
        sink.prepare(schemas)
        sink.write(written)
    reading = opened(url, schemas)
    assert Counter(reading.counts()) == Counter(sizes(written))
    for event, frame in written.frames.items():
        assert_frame_equal(held(reading, event), frame.sort("event_id"))
