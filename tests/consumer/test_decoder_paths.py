"""Block by block and record by record give the same rows and the same dead letters, whatever the bytes are."""

from __future__ import annotations

import functools
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import fastavro
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from flowise_telemetry_consumer import Decoder
from flowise_telemetry_schemas import Catalog, EventSchema, catalog
from flowise_telemetry_schemas.codec import MARKER, decode_body
from tests.consumer.world import event_id, records, value_of
from tests.schemas.records import ENVELOPE

_FIELD = {"doc": "d", "purpose": "p", "classification": "count"}
_NAME = {"type": "string", "pattern": "^[a-z]{1,4}(_[0-9]{1,2}|\\.[A-Z])?$", "maxLength": 5}
_KIND = {"type": "enum", "name": "Kind", "doc": "d", "symbols": ["a", "b"]}
_COUNT = {"type": "int", "minimum": -5, "maximum": 1_000}


def _source(version: int, *, nested_enum: bool) -> dict[str, Any]:
    """An event with every kind of type that the contract allows, in two versions."""
    envelope = catalog().latest("tool_created").source["fields"][:6]
    item = {
        "type": "record",
        "name": "Item",
        "doc": "d",
        "fields": [
            {**_FIELD, "name": "itemName", "type": _NAME},
            {**_FIELD, "name": "itemKind", "type": _KIND if nested_enum else _NAME},
            {**_FIELD, "name": "itemSize", "type": ["null", _COUNT], "default": None},
        ],
    }
    fields = [
        *envelope,
        {**_FIELD, "name": "isOn", "type": "boolean"},
        {**_FIELD, "name": "maybeOn", "type": ["null", "boolean"], "default": None},
        {**_FIELD, "name": "smallCount", "type": _COUNT},
        {**_FIELD, "name": "anyCount", "type": "long"},
        {**_FIELD, "name": "maybeName", "type": ["null", _NAME], "default": None},
        {**_FIELD, "name": "topKind", "type": {"type": "enum", "name": "Top", "doc": "d", "symbols": ["X", "Y", "Z"]}},
        {**_FIELD, "name": "itemList", "type": {"type": "array", "maxItems": 3, "items": item}},
        {**_FIELD, "name": "nameLists", "type": {"type": "array", "maxItems": 2, "items": {
            "type": "array", "maxItems": 2, "items": _NAME}}},
    ]  # fmt: skip
    if version == 2:
        fields[10] = {**fields[10], "name": "renamed", "aliases": ["maybeName"]}
        fields[11]["type"] = {**fields[11]["type"], "symbols": ["X", "Y", "Z", "NEW"]}
        fields += [
            {**_FIELD, "name": "added", "type": _NAME, "default": "ab"},
            {**_FIELD, "name": "addedCount", "type": ["null", _COUNT], "default": None},
        ]
    return {"type": "record", "namespace": "flowise.telemetry", "name": "Everything", "doc": "d", "fields": fields}


@functools.cache
def everything(*, nested_enum: bool = False) -> Catalog:
    with tempfile.TemporaryDirectory() as folder:
        event = Path(folder) / "everything"
        event.mkdir()
        for version in (1, 2):
            (event / f"v{version}.avsc").write_text(json.dumps(_source(version, nested_enum=nested_enum)))
        return Catalog.load(Path(folder))


def good_record(number: int, version: int) -> dict[str, Any]:
    names = ["a", "bcd", "ab_1", "ab.Q"]
    record: dict[str, Any] = {
        **ENVELOPE.fields(),
        "eventId": event_id(number),
        "sequence": number,
        "version": "3.0.1",
        "isOn": number % 2 == 0,
        "maybeOn": (None, True, False)[number % 3],
        "smallCount": number % 7,
        "anyCount": -(2**63) + number,
        "renamed" if version == 2 else "maybeName": (None, *names)[number % 5],
        "topKind": "XYZ"[number % 3],
        "itemList": [
            {"itemName": names[at], "itemKind": "ab"[at % 2], "itemSize": (None, at)[at % 2]}
            for at in range(number % 4)
        ],
        "nameLists": [names[:at] for at in range(number % 3)],
    }
    return record | ({"added": "xy", "addedCount": 4} if version == 2 else {})


def message(schema: EventSchema, record: dict[str, Any]) -> bytes:
    """The message of a record whose constraints no one has checked."""
    out = io.BytesIO()
    out.write(MARKER + schema.fingerprint)
    fastavro.schemaless_writer(out, schema.wire, record)
    return out.getvalue()


@functools.cache
def good_messages(*, nested_enum: bool = False) -> tuple[bytes, ...]:
    schemas = everything(nested_enum=nested_enum)
    made = [
        message(schemas.get("everything", version), good_record(number, version))
        for number in range(20)
        for version in (1, 2)
    ]
    return tuple(made)


def same(schemas: Catalog, values: list[bytes | None]) -> None:
    listed = records(values)
    exact = Decoder(schemas, block_rows=0).decode(listed)
    for block_rows in (24, 512):
        fast = Decoder(schemas, block_rows=block_rows).decode(listed)
        assert list(fast.dead) == list(exact.dead)
        assert list(fast.frames) == list(exact.frames)
        for event, frame in exact.frames.items():
            assert_frame_equal(fast.frames[event], frame)


def test_good_records_of_two_versions() -> None:
    values = list(good_messages())
    result = Decoder(everything()).decode(records(values))
    assert result.dead == []
    assert result.frames["everything"]["sequence"].to_list() == [number for number in range(20) for _ in (1, 2)]
    same(everything(), list(values))


def test_a_schema_that_polars_cannot_read_is_decoded_all_the_same() -> None:
    schemas, values = everything(nested_enum=True), good_messages(nested_enum=True)
    assert Decoder(schemas).decode(records(values)).rows == 40
    same(schemas, list(values))


def test_good_records_are_decoded_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("record by record")

    monkeypatch.setattr("flowise_telemetry_consumer.decoder.decode_body", never)
    assert Decoder(everything()).decode(records(good_messages())).rows == 40
    assert Decoder(catalog()).decode(records([value_of(number) for number in range(600)])).rows == 600


bodies = st.sampled_from(good_messages()).map(lambda value: value[10:])
spots = st.integers(0, 10_000)


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """A body with something done to it that a bad network, a bad writer or a bad person might do."""
    body = draw(bodies)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(spots) % (len(body) + 1)
        kind = draw(st.sampled_from(["flip", "cut", "grow", "insert", "drop", "join", "overlong", "huge", "random"]))
        if kind == "flip" and body:
            at %= len(body)
            body = body[:at] + bytes([draw(st.integers(0, 255))]) + body[at + 1 :]
        elif kind == "cut":
            body = body[:at]
        elif kind == "grow":
            body += draw(st.binary(min_size=1, max_size=20))
        elif kind == "insert":
            body = body[:at] + draw(st.binary(min_size=1, max_size=4)) + body[at:]
        elif kind == "drop":
            body = body[:at] + body[at + draw(st.integers(1, 20)) :]
        elif kind == "join":
            body += draw(bodies)
        elif kind == "overlong" and body:
            # The same number in more bytes than it needs.
            at %= len(body)
            body = body[:at] + bytes([body[at] | 0x80]) + b"\x80" * draw(st.integers(0, 9)) + b"\x00" + body[at + 1 :]
        elif kind == "huge":
            body = body[:at] + b"\xff" * draw(st.integers(1, 10)) + b"\x01" + body[at:]
        else:
            body = draw(st.binary(max_size=60))
    return body


texts = st.text(max_size=8) | st.sampled_from(
    ["ab\n", "ab\r", "ab_1", "ab\x00", "é", "AB", "", "abcde", "ab_123", "ab.Q"]
)
odd_values: dict[str, st.SearchStrategy[Any]] = {
    "eventId": texts,
    "occurredAt": st.integers(-(2**63), 2**63 - 1) | st.sampled_from([1577836799999, 1577836800000, 4102444799999]),
    "sequence": st.integers(-(2**63), 2**63 - 1),
    "smallCount": st.integers(-(2**31), 2**31 - 1) | st.integers(-8, 1_010),
    "maybeName": st.none() | texts,
    "itemList": st.lists(
        st.fixed_dictionaries({
            "itemName": texts,
            "itemKind": st.sampled_from(["a", "b"]),
            "itemSize": st.none() | st.integers(-8, 1_010),
        }),
        max_size=5,
    ),
    "nameLists": st.lists(st.lists(texts, max_size=3), max_size=3),
}  # fmt: skip


@st.composite
def odd(draw: st.DrawFn) -> bytes:
    """A record that Avro takes and the constraints perhaps do not."""
    version = draw(st.sampled_from([1, 2]))
    record = good_record(draw(st.integers(0, 11)), version)
    for name in draw(st.lists(st.sampled_from(sorted(odd_values)), min_size=1, max_size=2, unique=True)):
        record["renamed" if (name, version) == ("maybeName", 2) else name] = draw(odd_values[name])
    return message(everything().get("everything", version), record)


@st.composite
def spoilt_message(draw: st.DrawFn) -> bytes:
    schema = draw(st.sampled_from(list(everything())))
    return MARKER + schema.fingerprint + draw(spoilt())


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(spots, spoilt_message() | odd() | st.none() | st.binary(max_size=12)), min_size=1, max_size=4)
)
def test_bad_records_among_good_ones(changes: list[tuple[int, bytes | None]]) -> None:
    values: list[bytes | None] = list(good_messages())
    for spot, value in changes:
        values.insert(spot % (len(values) + 1), value)
    same(everything(), values)


@settings(max_examples=100, deadline=None)
@given(st.lists(odd(), min_size=20, max_size=40))
def test_many_records_that_may_break_a_constraint(values: list[bytes]) -> None:
    same(everything(), list(values))


def test_array_blocks_with_sizes_and_in_pieces() -> None:
    """Avro lets a writer split an array into blocks and put the bytes of each in front."""
    schema = everything().get("everything", 1)
    record = good_record(3, 1) | {"itemList": [], "nameLists": []}
    body = message(schema, record)
    assert body.endswith(b"\x00\x00")
    name = b"\x02a"
    pieces = b"\x02" + b"\x02" + name + b"\x00" + b"\x00"  # one list of one name
    sized = b"\x01\x08" + b"\x01\x04" + name + b"\x00" + b"\x00"  # the same, each block with its size
    twice = b"\x02" + b"\x00" + b"\x02" + b"\x02" + name + b"\x00" + b"\x00"  # an empty list and one of one name
    for tail in (pieces, sized, twice):
        values: list[bytes | None] = [*good_messages(), body[:-1] + tail]
        same(everything(), values)


def test_one_bad_record_leaves_other_blocks_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = []

    def counted(schema: EventSchema, body: bytes, reader: EventSchema) -> dict[str, Any]:
        looked_at.append(body)
        return decode_body(schema, body, reader)

    monkeypatch.setattr("flowise_telemetry_consumer.decoder.decode_body", counted)
    values = [value_of(number * 6 + 3) for number in range(100)]
    values[50] = values[50][:-1]
    assert Decoder(catalog(), block_rows=20).decode(records(values)).rows == 99
    assert len(looked_at) == 20
