"""Decoding in blocks and one by one gives the same rows and the same dead letters, whatever the bytes are."""

from __future__ import annotations

import functools
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import fastavro
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from flowise_telemetry_consumer.decoding.avro_block import read_block
from flowise_telemetry_consumer.decoding.decoder import Decoder
from flowise_telemetry_schemas import Catalog, EventSchema, catalog
from flowise_telemetry_schemas.codec import HEADER_BYTES, MARKER
from tests.consumer.world import event_id, records, value_of
from tests.schemas.records import ENVELOPE, EVENTS, record_of
from tests.thoroughness import examples

_FIELD = {"doc": "d", "purpose": "p", "classification": "count"}
_NAME = {"type": "string", "pattern": "^[a-z]{1,4}(_[0-9]{1,2}|\\.[A-Z])?$", "maxLength": 5}
_KIND = {"type": "enum", "name": "Kind", "doc": "d", "symbols": ["a", "b"]}
_COUNT = {"type": "int", "minimum": -5, "maximum": 1_000}


def _source(version: int, *, nested_enum: bool) -> dict[str, Any]:
    """Return an event with every type that the contract allows, in one of two versions."""
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
    """Return the message of a record without checking its constraints."""
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


def test_good_records_are_decoded_in_blocks() -> None:
    result = Decoder(everything()).decode(records(good_messages()))
    assert (result.rows, result.one_by_one) == (40, 0)
    result = Decoder(catalog()).decode(records([value_of(number) for number in range(600)]))
    assert (result.rows, result.one_by_one) == (600, 0)


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


@pytest.mark.slow
@settings(max_examples=examples(3), suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(spots, spoilt_message() | odd() | st.none() | st.binary(max_size=12)), min_size=1, max_size=4)
)
def test_bad_records_among_good_ones(changes: list[tuple[int, bytes | None]]) -> None:
    values: list[bytes | None] = list(good_messages())
    for spot, value in changes:
        values.insert(spot % (len(values) + 1), value)
    same(everything(), values)


@given(st.lists(odd(), min_size=20, max_size=40))
def test_many_records_that_may_break_a_constraint(values: list[bytes]) -> None:
    same(everything(), list(values))


def zigzag(value: int, *, padding: int = 0) -> bytes:
    """A number in Avro's coding, with ``padding`` bytes more than it needs."""
    rest, out = ((value << 1) ^ (value >> 63)) & (2**64 - 1), bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest | (0x80 if padding else 0))
    return bytes(out) + (b"\x80" * (padding - 1) + b"\x00" if padding else b"")


def in_pieces(schema: EventSchema, record: dict[str, Any]) -> dict[str, bytes]:
    """A body cut at its fields, so that any of them can be spoilt."""
    pieces = {}
    for field in schema.fields:
        out = io.BytesIO()
        fastavro.schemaless_writer(out, fastavro.parse_schema(field.wire), record.get(field.name))  # type: ignore[arg-type]  # any schema is JSON
        pieces[field.name] = out.getvalue()
    return pieces


def hostile_message(version: int, spoilt: dict[str, bytes]) -> bytes:
    schema = everything().get("everything", version)
    pieces = in_pieces(schema, good_record(4, version)) | spoilt
    return MARKER + schema.fingerprint + b"".join(pieces.values())


HOSTILE: dict[str, dict[str, bytes]] = {
    "enum from the end": {"topKind": zigzag(-1)},
    "enum before the beginning": {"topKind": zigzag(-(2**63))},
    "enum past the end": {"topKind": zigzag(4)},
    "enum that is 0 in 32 bits": {"topKind": zigzag(2**32)},
    "branch from the end": {"maybeName": zigzag(-1) + b"\x02a"},
    "null from the end": {"maybeName": zigzag(-2)},
    "branch past the end": {"maybeName": zigzag(2) + b"\x02a"},
    "branch that is 0 in 32 bits": {"maybeOn": zigzag(2**32) + b"\x01"},
    "branch inside an item": {"itemList": b"\x02\x02a\x02a" + zigzag(3) + b"\x02\x00"},
    "boolean 7": {"isOn": b"\x07"},
    "boolean 2 that may be null": {"maybeOn": b"\x02\x02"},
    "int that is 5 in 32 bits": {"smallCount": zigzag(2**32 + 5)},
    "int inside an item": {"itemList": b"\x02\x02a\x02a\x02" + zigzag(2**32) + b"\x00"},
    "number over 64 bits": {"anyCount": zigzag(1, padding=10)},
    "string of less than nothing": {"version": zigzag(-1)},
    "string up to the sky": {"version": zigzag(2**62)},
    "array up to the sky": {"nameLists": zigzag(2**62) + b"\x00"},
    "array below the ground": {"nameLists": zigzag(-(2**63)) + b"\x00" * 9},
    "text that is no UTF-8": {"version": b"\x04\xff\xfe"},
    "half a character": {"version": b"\x06\xed\xa0\x80"},
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("version", [1, 2])
def test_a_hostile_body_is_a_dead_letter_on_both_paths(kind: str, version: int) -> None:
    spoilt = {"renamed" if (name, version) == ("maybeName", 2) else name: at for name, at in HOSTILE[kind].items()}
    value = hostile_message(version, spoilt)
    values: list[bytes | None] = [*good_messages()[:33], value, *good_messages()[33:]]
    for block_rows in (0, 512):
        result = Decoder(everything(), block_rows=block_rows).decode(records(values))
        (letter,) = result.dead
        assert letter.record.value == value
        assert letter.stage == ("constraints" if kind.startswith("int") else "decode")
        assert result.rows == 40
    same(everything(), values)


@pytest.mark.parametrize("padding", range(1, 9))
def test_a_number_may_have_more_bytes_than_it_needs(padding: int) -> None:
    one = zigzag(1, padding=padding)
    value = hostile_message(1, {"topKind": one, "anyCount": one, "maybeName": one + one + b"a"})
    values: list[bytes | None] = [*good_messages(), value]
    assert Decoder(everything()).decode(records(values)).rows == 41
    same(everything(), values)


@pytest.mark.parametrize("more", [1, 15, 16, 17, 40, 200])
@pytest.mark.parametrize("event", [3, 4])
def test_a_body_cannot_swallow_its_neighbour(more: int, event: int) -> None:
    """The last text claims bytes that are the guard's or the next body's."""
    whole = value_of(event)
    text = {3: b"get_current_datetime", 4: b"bufferMemory_12"}[event]
    assert whole.endswith(zigzag(len(text)) + text)
    greedy = whole[: -len(text) - 1] + zigzag(len(text) + more) + text
    values: list[bytes | None] = [value_of(event + 6 * number) for number in range(40)]
    values[20] = greedy
    result = Decoder(catalog()).decode(records(values))
    assert [letter.record.offset for letter in result.dead] == [20]
    same(catalog(), values)


numbers = st.integers(-(2**63), 2**63 - 1) | st.integers(-4, 4) | st.sampled_from([2**31, 2**32, 2**32 + 1, -(2**32)])
coded = st.builds(lambda value, padding: zigzag(value, padding=padding), numbers, st.integers(0, 9))


@st.composite
def hostile(draw: st.DrawFn) -> bytes:
    """A body whose numbers, where any of its fields begins, are whatever one likes."""
    version = draw(st.sampled_from([1, 2]))
    schema = everything().get("everything", version)
    pieces = in_pieces(schema, good_record(draw(st.integers(0, 11)), version))
    for name in draw(st.lists(st.sampled_from(sorted(pieces)), min_size=1, max_size=2, unique=True)):
        pieces[name] = draw(coded) + pieces[name][draw(st.integers(0, 2)) :]
    return MARKER + schema.fingerprint + b"".join(pieces.values())


@pytest.mark.slow
@settings(max_examples=examples(2), suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(spots, hostile()), min_size=1, max_size=3))
def test_hostile_bodies_among_good_ones(changes: list[tuple[int, bytes]]) -> None:
    values: list[bytes | None] = list(good_messages())
    for spot, value in changes:
        values.insert(spot % (len(values) + 1), value)
    same(everything(), values)


near_misses = st.sampled_from(
    ["chatOpenAI_0", "chatOpenAI_0\n", "a_b_c_1", "chatOpenAI_", "_0", "é_0", "a" * 97, "1.2.3", "1.2.3-rc.1", ""]
) | st.from_regex(r"[A-Za-z0-9_.-]{0,40}", fullmatch=True)  # fmt: skip


ENDS = {
    "null": b"\x00",
    "text": b"\x02\x14llmChain_0",
    "null in more bytes than it needs": b"\x80\x00",
    "index in more bytes than it needs": b"\x82\x00\x14llmChain_0",
    "branch past the end": b"\x04\x14llmChain_0",
    "branch far past the end": b"\x80\x02\x14llmChain_0",
    "branch from the end": b"\x01\x14llmChain_0",
    "null from the end": b"\x03",
    "index over 64 bits": b"\x80" * 10 + b"\x02\x14llmChain_0",
    "null over 64 bits": b"\x80" * 11 + b"\x00",
    "text with a length in more bytes than it needs": b"\x02\x94\x00llmChain_0",
    "text that is no UTF-8": b"\x02\x04\xff\xfe",
}


@pytest.mark.parametrize("kind", ENDS)
def test_a_union_at_the_end_of_our_own_event(kind: str) -> None:
    schema = catalog().latest("vector_upserted")
    assert schema.fields[-1].nullable
    record = dict(record_of(next(event for event in EVENTS if event.EVENT == "vector_upserted")))
    without = message(schema, record | {"stopNodeId": None}).removesuffix(b"\x00")
    good = [without + ENDS["null"], without + ENDS["text"]] * 15
    same(catalog(), [*good, without + ENDS[kind], *good])
    messages = [*good, without + ENDS[kind]]
    for header in (b"", messages[0][:HEADER_BYTES]):
        cut = HEADER_BYTES - len(header)
        whole = read_block(schema, [value[cut:] for value in messages], pl.read_avro, header=header)
        assert (whole is None) == (kind not in {"null", "text"})


@st.composite
def nearly_right(draw: st.DrawFn) -> bytes:
    """An event that we ship, with a text or a number of it replaced."""
    event = draw(st.sampled_from(EVENTS))
    schema, record = catalog().latest(event.EVENT), dict(record_of(event))
    name = draw(st.sampled_from([field.name for field in schema.fields if field.kind not in {"enum"}]))
    match record.get(name):
        case int():
            record[name] = draw(st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 2))
        case dict():
            texts = draw(st.lists(near_misses, min_size=1, max_size=4))
            edges = [{"source": text, "target": "chatOpenAI_0"} for text in texts[1:]]
            record[name] = {"nodes": texts, "edges": edges}
        case _:
            record[name] = draw(near_misses)
    return message(schema, record)


@given(st.lists(nearly_right(), min_size=30, max_size=60))
def test_our_own_events_when_they_are_nearly_right(values: list[bytes]) -> None:
    same(catalog(), list(values))


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


def test_one_bad_record_is_found_by_halves() -> None:
    values = [value_of(number * 6 + 3) for number in range(1_000)]
    values[500] = values[500][:-1]
    result = Decoder(catalog()).decode(records(values))
    assert result.frames["tool_created"]["sequence"].is_sorted()
    assert (result.rows, len(result.dead)) == (999, 1)
    assert 0 < result.one_by_one < 16
