"""Records that name their schema by its id in a registry."""

from __future__ import annotations

import io
import json
import uuid
from typing import Any

import fastavro
import pytest
from polars.testing import assert_frame_equal

from flowise_telemetry_consumer.decoding.decoder import Decoder
from flowise_telemetry_consumer.decoding.framing import schema_of
from flowise_telemetry_schemas import Catalog, EventSchema, catalog
from flowise_telemetry_schemas.codec import MAX_VALUE_BYTES
from flowise_telemetry_schemas.errors import DecodeError
from flowise_telemetry_schemas.wire_format import ID_HEADER, with_id
from flowise_telemetry_transport.types import Headers
from tests.consumer.registered import FRAMINGS, MemoryRegistry
from tests.consumer.world import record, value_of
from tests.schemas.records import EVENTS, record_of

COUNT = 120  # of each kind more than the smallest block
PATHS = {"columns": 512, "one by one": 0}
VALUES = [value_of(number) for number in range(COUNT)]


@pytest.fixture
def registry() -> MemoryRegistry:
    return MemoryRegistry()


@pytest.mark.parametrize("block_rows", PATHS.values(), ids=list(PATHS))
@pytest.mark.parametrize("framing", FRAMINGS)
def test_every_framing_gives_the_same_rows(registry: MemoryRegistry, framing: str, block_rows: int) -> None:
    framed = [FRAMINGS[framing](registry, value) for value in VALUES]
    records = [record(value, offset=at, headers=headers) for at, (value, headers) in enumerate(framed)]
    expected = Decoder(catalog()).decode([record(value, offset=at) for at, value in enumerate(VALUES)])
    decoded = Decoder(registry.catalog(), block_rows=block_rows).decode(records)
    assert (decoded.dead, decoded.rows) == ([], COUNT)
    assert decoded.one_by_one == (0 if block_rows else COUNT)
    for event, frame in expected.frames.items():
        assert_frame_equal(decoded.frames[event], frame)
    assert len(registry.asked) == (0 if framing == "a fingerprint" else len(catalog().events))
    assert [schema_of(each, registry.catalog()) for each in records] == [
        catalog().by_fingerprint(value[2:10]) for value in VALUES
    ]


def test_framings_may_take_turns(registry: MemoryRegistry) -> None:
    framed = [framing(registry, value) for value, framing in zip(VALUES, list(FRAMINGS.values()) * COUNT, strict=False)]
    mixed = Decoder(registry.catalog()).decode([record(value, headers=headers) for value, headers in framed])
    expected = Decoder(catalog()).decode([record(value) for value in VALUES])
    assert (mixed.dead, mixed.one_by_one) == ([], expected.one_by_one)
    assert {event: frame.to_dicts() for event, frame in mixed.frames.items()} == {
        event: frame.to_dicts() for event, frame in expected.frames.items()
    }


def body_of(schema: dict[str, Any], values: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), values)
    return out.getvalue()


def newer(event: str, *fields: dict[str, Any], **changes: Any) -> dict[str, Any]:
    source: dict[str, Any] = json.loads(json.dumps(catalog().latest(event).source))
    return {**source, "fields": [*source["fields"], *fields], **changes}


TOOL = next(record_of(event) for event in EVENTS if event.EVENT == "tool_created")
STARS = {"name": "stars", "type": "int", "default": 0}


@pytest.mark.parametrize("block_rows", PATHS.values(), ids=list(PATHS))
def test_a_newer_version_is_read_as_the_newest_known(registry: MemoryRegistry, block_rows: int) -> None:
    source = newer("tool_created", STARS)
    values = [with_id(registry.add(source), body_of(source, {**TOOL, "stars": number})) for number in range(20)]
    reading = registry.catalog()
    decoded = Decoder(reading, block_rows=block_rows).decode([record(value) for value in values])
    assert decoded.dead == []
    assert decoded.frames["tool_created"]["tool_name"].to_list() == ["get_current_datetime"] * 20
    assert decoded.frames["tool_created"].columns == [field.column for field in catalog().latest("tool_created").fields]
    # From then on by its fingerprint too, as an app writes it that cannot ask the registry.
    (again,) = {id(schema_of(record(value), reading)): schema_of(record(value), reading) for value in values}.values()
    assert again is not None
    message = b"\xc3\x01" + again.fingerprint + values[0][5:]
    assert Decoder(reading).decode([record(message)]).rows == 1
    assert catalog().by_fingerprint(again.fingerprint) is None, "only this consumer has asked"


def test_bounds_are_those_that_are_known_here(registry: MemoryRegistry) -> None:
    source = newer("tool_created", STARS)
    value = with_id(registry.add(source), body_of(source, {**TOOL, "version": "my own words", "stars": 1}))
    (letter,) = Decoder(registry.catalog()).decode([record(value)]).dead
    assert (letter.reason, letter.field) == ("constraint", "version")


def test_a_consumer_of_the_first_version_reads_the_second(registry: MemoryRegistry) -> None:
    first = Catalog(tuple(schema for schema in catalog() if schema.version == 1))
    newest = catalog().latest("assistant_created")
    assert newest.version > 1
    value, _ = registry.prefixed(next(value for value in VALUES if value[2:10] == newest.fingerprint))
    decoded = Decoder(registry.catalog(first)).decode([record(value)])
    assert (decoded.dead, decoded.rows) == ([], 1)
    assert Decoder(first).decode([record(value)]).dead[0].reason == "unknown_framing"


def with_field(of: Any) -> dict[str, Any]:
    return newer("tool_created", {"name": "x", "type": of})


def nested(levels: int) -> str:
    start, end = '{"type": "array", "items": ' * levels, "}" * levels
    return json.dumps(with_field("int")).replace('"x", "type": "int"', f'"x", "type": {start}"int"{end}')


def record_type(namespace: str, of: Any) -> dict[str, Any]:
    return {"type": "record", "name": "X", "namespace": namespace, "fields": [{"name": "a", "type": of}]}


NOTHING = {"type": "record", "name": "Nothing", "fields": []}
FOREIGN: dict[str, tuple[Any, str]] = {
    "another record": ({"type": "record", "name": "com.example.Order", "fields": []}, "is of com.example.Order, "),
    "no record": ("string", "is no record"),
    "no JSON": ("{", "is no record"),
    "a name that no terminal should see": ({"type": "record", "name": "a\x1b[2J"}, r"of .a\u001b[2J, which"),
    "a type of no event": (with_field({"type": "map", "values": "int"}), "not allowed"),
    "itself": (with_field(["null", "ToolCreated"]), "not allowed"),
    "nested without end": (nested(20_000), "is no record"),
    "nested deeply": (nested(900), ""),
    "items of no bytes": (with_field({"type": "array", "items": NOTHING}), "a record without fields"),
    # Names that differ by their namespaces alone, which the decoder's schema does not have: a record in itself.
    "a record in one of its name": (with_field(record_type("a", record_type("b", "int"))), "X is declared twice"),
    "records in one of their name": (
        with_field(record_type("a", {"type": "array", "items": record_type("b", "int")})),
        "X is declared twice",
    ),
    "a field twice": (newer("tool_created", {"name": "eventId", "type": "int"}), "has a field twice"),
    "fields without end": (
        newer("tool_created", *({"name": f"x{number}", "type": "int"} for number in range(2_000))),
        "has over 2,000 fields",
    ),
    "fields that are none": (newer("tool_created", fields=7), "not a record schema of ours"),
    "an enum without symbols": (with_field({"type": "enum", "name": "X"}), "not a record schema of ours"),
}


@pytest.mark.parametrize("foreign", FOREIGN)
def test_an_id_of_what_is_no_event_is_a_dead_letter(registry: MemoryRegistry, foreign: str) -> None:
    schema, text = FOREIGN[foreign]
    number = registry.add(schema if isinstance(schema, dict) else str(schema))
    decoder = Decoder(registry.catalog())
    for _ in range(2):
        letters = decoder.decode([record(with_id(number, VALUES[0][10:])), record(VALUES[1])])
        (letter,) = letters.dead
        assert (letter.reason, letter.stage, letter.schema, letters.rows) == (
            "unknown_schema",
            "decode",
            str(number),
            1,
        )
        assert text in letter.message
    assert registry.asked == [number]


GUID = b"\x01" + uuid.UUID(int=7).bytes
BODY = VALUES[0][10:]
LETTERS: dict[str, tuple[bytes | None, Headers, str, str]] = {
    "an id of none": (with_id(7, BODY), (), "unknown_schema", "does not have schema 7"),
    "a GUID of none": (BODY, ((ID_HEADER, GUID),), "unknown_schema", f"does not have schema {uuid.UUID(int=7)}"),
    "half an id": (b"\x00\x00\x01", (), "truncated", "within the id of its schema"),
    "an id alone": (with_id(FIRST := 100, b""), (), "empty", "is empty"),
    "a header without bytes": (BODY, ((ID_HEADER, None),), "unknown_framing", "has 0 bytes that are neither"),
    "half a header": (BODY, ((ID_HEADER, GUID[:9]),), "unknown_framing", "has 9 bytes that are neither"),
    "a header of another kind": (BODY, ((ID_HEADER, b"\x02" + GUID[1:]),), "unknown_framing", "has 17 bytes"),
    "a tombstone": (None, ((ID_HEADER, GUID),), "tombstone", "no value"),
    "too large": (with_id(7, bytes(MAX_VALUE_BYTES)), (), "too_large", "over"),
    "a body of another schema": (with_id(FIRST, VALUES[3][10:]), (), "", ""),
    "a framed value behind a header": (VALUES[0], ((ID_HEADER, with_id(FIRST, b"")),), "", ""),
}


@pytest.mark.parametrize("kind", LETTERS)
def test_what_cannot_be_read_is_a_dead_letter_as_it_was(registry: MemoryRegistry, kind: str) -> None:
    value, headers, reason, text = LETTERS[kind]
    bad = record(value, headers=headers)
    (letter,) = Decoder(registry.catalog()).decode([bad]).dead
    assert letter.record == bad
    assert letter.reason == (reason or letter.reason)
    assert text in letter.message


def test_an_id_that_the_registry_learns_is_found_after_a_minute(registry: MemoryRegistry) -> None:
    from flowise_telemetry_schemas.registered_schemas import RegisteredSchemas

    now = [0.0]
    reading = catalog().with_registered(RegisteredSchemas(registry, catalog(), clock=lambda: now[0]))
    source = newer("tool_created", STARS)
    number = max(registry.texts) + 1
    late = record(with_id(number, body_of(source, {**TOOL, "stars": 1})))
    assert Decoder(reading).decode([late]).rows == 0
    assert registry.add(source) == number
    assert Decoder(reading).decode([late]).rows == 0
    now[0] = 60.0
    assert Decoder(reading).decode([late]).rows == 1


def test_what_a_registry_hands_out_is_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    from flowise_telemetry_schemas import registered_schemas

    monkeypatch.setattr(registered_schemas, "_MAX_NEWER", 3)
    monkeypatch.setattr(registered_schemas, "_MAX_IDS", 5)
    registry = MemoryRegistry()
    reading = registered_schemas.RegisteredSchemas(registry, catalog())
    ids = [registry.add(newer("tool_created", {**STARS, "name": f"stars{number}"})) for number in range(4)]
    for number in ids[:3]:
        assert reading.get(number).version == registered_schemas.NEWER
    with pytest.raises(DecodeError, match="has handed out 3 newer versions already"):
        reading.get(ids[3])
    # The same schema under ever new ids is one schema, and ids that are forgotten are asked for again.
    same = json.dumps(catalog().latest("tool_created").source)
    found = {reading.get(registry.add(same)) for _ in range(12)}
    assert found == {catalog().latest("tool_created")}
    assert len(reading._found) <= 5
    assert reading.get(ids[0]).version == registered_schemas.NEWER


@pytest.mark.parametrize("framing", [name for name in FRAMINGS if name != "a fingerprint"])
def test_without_a_registry_the_letter_says_what_is_missing(registry: MemoryRegistry, framing: str) -> None:
    value, headers = FRAMINGS[framing](registry, VALUES[0])
    (letter,) = Decoder(catalog()).decode([record(value, headers=headers)]).dead
    assert letter.reason == "unknown_framing"
    assert letter.message.endswith("an id in a registry, and none is set (FLOWISE_TELEMETRY_SCHEMA_REGISTRY_URL)")


def test_a_name_may_be_written_whole(registry: MemoryRegistry) -> None:
    schema: EventSchema = catalog().latest("tool_created")
    whole = {**schema.source, "name": f"{schema.source['namespace']}.{schema.name}"}
    del whole["namespace"]
    value = with_id(registry.add(whole), body_of(dict(schema.source), TOOL))
    reading = registry.catalog()
    assert Decoder(reading).decode([record(value)]).rows == 1
    assert schema_of(record(value), reading) is schema
