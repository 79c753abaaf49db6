from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowise_telemetry_schemas import DecodeError, Event, ValidationError, catalog
from flowise_telemetry_schemas.codec import MAX_VALUE_BYTES, decode, encode
from tests.schemas.records import EVENTS, STATE, record_of

_EMPTY = 0xC15D213AA4D7A795


def rabin(data: bytes) -> int:
    """CRC-64-AVRO as the Avro specification gives it ("Schema Fingerprints"), bit by bit."""
    fingerprint = _EMPTY
    for byte in data:
        value = (fingerprint ^ byte) & 0xFF
        for _ in range(8):
            value = (value >> 1) ^ (_EMPTY if value & 1 else 0)
        fingerprint = (fingerprint >> 8) ^ value
    return fingerprint


def zigzag(number: int) -> bytes:
    """The specification's variable-length zig-zag coding."""
    rest = (number << 1) ^ (number >> 63)
    out = bytearray()
    while rest & ~0x7F:
        out.append((rest & 0x7F) | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def text(value: str) -> bytes:
    return zigzag(len(value)) + value.encode()


def test_the_tests_own_coding_gives_the_specifications_examples() -> None:
    examples = {0: "00", -1: "01", 1: "02", -2: "03", 2: "04", -64: "7f", 64: "8001"}
    assert {number: zigzag(number).hex() for number in examples} == examples
    assert text("foo").hex() == "06666f6f"
    # From Avro's own test data: the fingerprints of the schemas "null" and "string".
    assert struct.unpack("<q", rabin(b'"null"').to_bytes(8, "little"))[0] == 7195948357588979594
    assert struct.unpack("<q", rabin(b'"string"').to_bytes(8, "little"))[0] == -8142146995180207161


def test_a_message_is_marker_fingerprint_and_body_byte_for_byte() -> None:
    event = EVENTS[3]
    schema = catalog().latest("tool_created")
    record = record_of(event)
    canonical = (
        '{"name":"flowise.telemetry.ToolCreated","type":"record","fields":['
        '{"name":"eventId","type":"string"},{"name":"occurredAt","type":"long"},{"name":"instanceId","type":"string"},'
        '{"name":"streamId","type":"string"},{"name":"sequence","type":"long"},{"name":"version","type":"string"},'
        '{"name":"toolId","type":"string"},{"name":"toolName","type":["null","string"]}]}'
    )
    body = b"".join(
        zigzag(record[name])
        if name in ("occurredAt", "sequence")
        else (b"\x02" if name == "toolName" else b"") + text(record[name])  # the second branch of its union
        for name in (
            "eventId", "occurredAt", "instanceId", "streamId", "sequence", "version", "toolId", "toolName",
        )
    )  # fmt: skip
    assert encode(schema, record) == b"\xc3\x01" + rabin(canonical.encode()).to_bytes(8, "little") + body


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.EVENT)
def test_what_was_encoded_is_decoded(event: Event) -> None:
    schema = catalog().latest(event.EVENT)
    record = record_of(event)
    assert decode(encode(schema, record), catalog()) == (schema, record)


def test_a_control_record_is_encoded_as_events_are() -> None:
    schema = catalog().latest("stream_state")
    assert decode(encode(schema, STATE), catalog()) == (schema, STATE)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "tombstone"),
        (b"", "empty"),
        (b"\xc3\x01" + bytes(MAX_VALUE_BYTES), "too_large"),
        (b"{}", "unknown_framing"),
        (b"\xc3\x01\x00\x00", "truncated"),
        (b"\xc3\x01" + bytes(8) + b"body", "unknown_fingerprint"),
    ],
)
def test_a_value_that_is_no_message_has_its_reason(value: bytes | None, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(value, catalog())
    assert caught.value.reason == reason


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.EVENT)
def test_every_prefix_is_truncated_and_every_suffix_trailing(event: Event) -> None:
    message = encode(catalog().latest(event.EVENT), record_of(event))
    for end in range(2, len(message)):
        with pytest.raises(DecodeError) as caught:
            decode(message[:end], catalog())
        assert caught.value.reason == "truncated", end
    with pytest.raises(DecodeError) as caught:
        decode(message + b"\x00", catalog())
    assert caught.value.reason == "trailing_bytes"


@given(event=st.sampled_from(EVENTS), body=st.binary(max_size=400))
def test_any_body_is_a_record_or_a_decode_error(event: Event, body: bytes) -> None:
    schema = catalog().latest(event.EVENT)
    with contextlib.suppress(DecodeError):
        decode(b"\xc3\x01" + schema.fingerprint + body, catalog())


def test_a_record_that_breaks_its_schema_is_not_encoded() -> None:
    record = record_of(EVENTS[0]) | {"prompt": "What is the capital of France?"}
    with pytest.raises(ValidationError, match=r"\(a name of no field\): is not a field of the schema"):
        encode(catalog().latest("assistant_created"), record)
