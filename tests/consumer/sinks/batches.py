"""Batches of all events, the same for the same number: what two processes write can be compared."""

from __future__ import annotations

import json
import shutil
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import polars as pl

from flowise_telemetry_consumer.decoding.frames import frame_of
from flowise_telemetry_consumer.sinks import Batch
from flowise_telemetry_schemas import Catalog, Envelope, Event, EventSchema, catalog
from tests.consumer.sinks.roles import ReadableSink
from tests.schemas.records import ENVELOPE, EVENTS, STATE, record_of

STREAM = ENVELOPE.stream_id


def envelope(number: int) -> Envelope:
    return Envelope(
        event_id=f"01890a5d-ac96-774b-bcce-{number:012x}",
        occurred_at_ms=1_700_000_000_123 + number,
        instance_id=ENVELOPE.instance_id,
        stream_id=STREAM,
        sequence=number,
    )


def records(number: int, repeat: int = 1) -> dict[str, list[dict[str, Any]]]:
    """``repeat`` records of each of ``EVENTS`` (vector_upserted is there twice) and control records, by name."""
    made: dict[str, list[dict[str, Any]]] = {}
    first = number * repeat * len(EVENTS)
    for index, event in enumerate(EVENTS * repeat, start=first):
        made.setdefault(event.EVENT, []).append(record_of(event, envelope(index)))
    numbers = range(number * repeat, (number + 1) * repeat)
    made["stream_state"] = [{**STATE, "eventId": f"01890a5d-ac96-774b-bccf-{n:012x}", "sequence": n} for n in numbers]
    return made


def batch(number: int = 0, repeat: int = 1) -> Batch:
    made = records(number, repeat)
    return Batch(frames={event: frame_of(catalog().latest(event), made[event]) for event in made})


def batch_of(*events: tuple[Event, Envelope]) -> Batch:
    made: dict[str, list[dict[str, Any]]] = {}
    for event, its in events:
        made.setdefault(event.EVENT, []).append(record_of(event, its))
    return Batch(frames={event: frame_of(catalog().latest(event), made[event]) for event in made})


def sizes(batch: Batch) -> dict[str, int]:
    return {event: frame.height for event, frame in batch.frames.items()}


def held(sink: ReadableSink, event: str, batch_rows: int = 10_000) -> pl.DataFrame:
    """All that a sink holds of one event, in the order of the ids."""
    return pl.concat(sink.read(event, batch_rows=batch_rows)).sort("event_id")


NEW_FIELDS: list[dict[str, Any]] = [
    {"name": "nodeCount", "type": {"type": "int", "minimum": 0, "maximum": 9}, "default": 7},
    {"name": "isDraft", "type": "boolean", "default": True},
    {"name": "note", "type": {"type": "string", "pattern": "^[a-z']{1,9}$", "maxLength": 9}, "default": "don't"},
    {"name": "region", "type": ["null", "string"], "default": None},
    {"name": "tags", "type": {"type": "array", "maxItems": 9, "items": "string"}, "default": ["a", "b"]},
    {
        "name": "portLinks",
        "type": {
            "type": "array",
            "maxItems": 9,
            "items": {
                "type": "record",
                "name": "PortLink",
                "fields": [{"name": "fromPort", "type": "string"}, {"name": "toPorts", "type": "int"}],
            },
        },
        "default": [{"fromPort": "x_0", "toPorts": 2}],
    },
]
"""What a second version adds: every kind of field, with the defaults that older rows take."""


def with_second_version(folder: Path, event: str) -> EventSchema:
    """The second version of an event: with the released first one and ``NEW_FIELDS``."""
    with as_file(files("flowise_telemetry_schemas") / "avro") as released:
        shutil.copytree(released, folder, dirs_exist_ok=True)
    source = json.loads((folder / event / "v1.avsc").read_text())
    source["fields"] += NEW_FIELDS
    (folder / event / "v2.avsc").write_text(json.dumps(source))
    return Catalog.load(folder).latest(event)


def id_made_at(ms: int, number: int) -> str:
    """The id of an event that was made at this time."""
    digits = f"{ms:012x}"
    return f"{digits[:8]}-{digits[8:]}-774b-bcce-{number:012x}"
