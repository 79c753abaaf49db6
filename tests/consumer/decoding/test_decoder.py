from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import fastavro
import pytest

from flowise_telemetry_consumer.dead_letter import DeadLetter
from flowise_telemetry_consumer.decoding.decoder import Decoded, Decoder
from flowise_telemetry_consumer.decoding.frames import polars_schema
from flowise_telemetry_schemas import Catalog, EventSchema, catalog
from flowise_telemetry_schemas.codec import MARKER, encode
from tests.consumer.world import event_id, records, value_of
from tests.schemas.records import ENVELOPE, EVENTS, record_of

SECRET = "my secret prompt"


def decoded(*values: bytes | None) -> Decoded:
    return Decoder(catalog()).decode(records(values))


def unchecked(event: str, **changes: Any) -> bytes:
    """A message that Avro takes and the constraints do not."""
    import io

    schema = catalog().latest(event)
    sample = next(sample for sample in EVENTS if event == sample.EVENT)
    out = io.BytesIO()
    out.write(MARKER + schema.fingerprint)
    fastavro.schemaless_writer(out, schema.wire, {**record_of(sample), **changes})
    return out.getvalue()


def test_records_become_one_frame_per_event_in_their_order() -> None:
    result = decoded(*map(value_of, range(20)))
    assert result.dead == []
    assert result.rows == 20
    assert list(result.frames) == sorted(catalog().events)
    for event, frame in result.frames.items():
        assert dict(frame.schema) == polars_schema(catalog().latest(event))
        assert frame["sequence"].is_sorted()


def test_nothing_in_is_nothing_out() -> None:
    result = decoded()
    assert (result.frames, result.dead, result.rows) == ({}, [], 0)


GOOD = value_of(3)
BAD: dict[str, tuple[bytes | None, str, str | None]] = {
    "null": (None, "tombstone", None),
    "empty": (b"", "empty", None),
    "oversize": (MARKER + b"x" * 1_048_576, "too_large", None),
    "framing": (b"{}", "unknown_framing", None),
    "confluent": (b"\x00\x00\x00\x00\x01body", "unknown_framing", None),
    "header": (MARKER + b"1234567", "truncated", None),
    "fingerprint": (MARKER + b"12345678" + GOOD[10:], "unknown_fingerprint", "3837363534333231"),
    "truncated": (GOOD[:-1], "truncated", "tool_created.v1"),
    "no body": (GOOD[:10], "truncated", "tool_created.v1"),
    "trailing": (GOOD + b"\x00", "trailing_bytes", "tool_created.v1"),
    "neighbour": (GOOD + GOOD[10:], "trailing_bytes", "tool_created.v1"),
    "malformed": (GOOD[:10] + b"\x48" + b"\xff" * 36 + GOOD[47:], "malformed", "tool_created.v1"),
    "enum": (value_of(5)[:-4] + b"\x0e" + value_of(5)[-3:], "malformed", "vector_upserted.v1"),
    "constraint": (unchecked("tool_created", toolName=SECRET), "constraint", "tool_created.v1"),
    "range": (unchecked("tool_created", sequence=-1), "constraint", "tool_created.v1"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_record_is_a_dead_letter_among_good_ones(kind: str) -> None:
    value, reason, schema = BAD[kind]
    result = decoded(value_of(0), value, value_of(1))
    assert result.rows == 2
    (letter,) = result.dead
    assert (letter.reason, letter.schema) == (reason, schema)
    assert letter.record.offset == 1
    assert letter.record.value == value
    assert SECRET not in letter.message


def test_dead_letters_are_in_the_order_of_the_records() -> None:
    result = decoded(*(BAD[kind][0] for kind in ("trailing", "null", "constraint", "empty", "truncated")))
    assert [letter.record.offset for letter in result.dead] == [0, 1, 2, 3, 4]


def test_a_broken_bound_names_its_field() -> None:
    graph = {"nodes": ["chatOpenAI_0"], "edges": [{"source": "chatOpenAI_0", "target": SECRET}]}
    (letter,) = decoded(unchecked("prediction_sent", flowGraph=graph)).dead
    assert isinstance(letter, DeadLetter)
    assert (letter.field, letter.stage, letter.error_class) == (
        "flowGraph.edges[0].target",
        "constraints",
        "ValidationError",
    )
    assert letter.message.startswith("flowGraph.edges[0].target: must match")


@pytest.fixture
def two_versions(tmp_path: Path) -> Catalog:
    """tool_created v1 and a v2 with two more fields."""
    first = dict(catalog().latest("tool_created").source)
    second = copy.deepcopy(first)
    origin = copy.deepcopy(next(f for f in catalog().latest("vector_upserted").source["fields"] if f["name"] == "type"))
    second["fields"] += [
        {**origin, "name": "toolOrigin", "default": "INTERNAL"},
        {
            "name": "useCount",
            "type": ["null", {"type": "int", "minimum": 0, "maximum": 10}],
            "default": None,
            "doc": "d",
            "purpose": "p",
            "classification": "count",
        },
    ]
    folder = tmp_path / "tool_created"
    folder.mkdir()
    for version, source in ((1, first), (2, second)):
        (folder / f"v{version}.avsc").write_text(json.dumps(source))
    return Catalog.load(tmp_path)


def tool_record(number: int, **more: Any) -> dict[str, Any]:
    return {**record_of(EVENTS[3], dataclasses.replace(ENVELOPE, event_id=event_id(number), sequence=number)), **more}


def test_old_and_new_writers_meet_in_the_newest_schema(two_versions: Catalog) -> None:
    old, new = two_versions.get("tool_created", 1), two_versions.get("tool_created", 2)
    values = [
        encode(old, tool_record(0)),
        encode(new, tool_record(1, toolOrigin="EXTERNAL", useCount=3)),
        encode(old, tool_record(2)),
        encode(old, tool_record(3))[:-1],
    ]
    result = Decoder(two_versions).decode(records(values))
    frame = result.frames["tool_created"].sort("sequence")
    assert dict(frame.schema) == polars_schema(new)
    assert frame["tool_origin"].to_list() == ["INTERNAL", "EXTERNAL", "INTERNAL"]
    assert frame["use_count"].to_list() == [None, 3, None]
    assert [letter.schema for letter in result.dead] == ["tool_created.v1"]


def test_the_schema_of_a_dead_letter_is_the_writers(two_versions: Catalog) -> None:
    old: EventSchema = two_versions.get("tool_created", 1)
    value = encode(old, tool_record(0)).replace(b"get_current_datetime", b"get current datetime")
    (letter,) = Decoder(two_versions).decode(records([value])).dead
    assert (letter.reason, letter.field, letter.schema) == ("constraint", "toolName", "tool_created.v1")
