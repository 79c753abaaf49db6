"""Records and answers on the wire to a gateway."""

from __future__ import annotations

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowise_telemetry_transport.gateway.wire import (
    Answer,
    Refusal,
    WireError,
    WireRecord,
    decode_answer,
    decode_batch,
    decode_error,
    encode_answer,
    encode_batch,
    encode_error,
    wire_bytes,
)

field = st.none() | st.binary(max_size=20)
records = st.builds(
    WireRecord,
    field,
    field,
    st.lists(st.tuples(st.text(max_size=5), field), max_size=3).map(tuple),
    st.none() | st.integers(0, 2**63 - 1),
)
ONE = WireRecord(b"key", b"\xc3\x01value", (("name", b"content"), ("none", None)), 1_700_000_000_000)


@given(st.lists(records, max_size=5))
def test_a_batch_comes_back_as_it_was(batch: list[WireRecord]) -> None:
    body = encode_batch(batch)
    assert decode_batch(body, max_records=5) == batch
    assert len(body) == sum(map(wire_bytes, batch))


@given(st.lists(records, min_size=1, max_size=3), st.data())
def test_a_body_cut_short_is_refused_whole(batch: list[WireRecord], data: st.DataObject) -> None:
    body = encode_batch(batch)
    ends = {len(encode_batch(batch[:count])) for count in range(len(batch) + 1)}
    cut = data.draw(st.integers(0, len(body)).filter(lambda place: place not in ends))
    with pytest.raises(WireError):
        decode_batch(body[:cut], max_records=3)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_batch_or_refused(body: bytes) -> None:
    try:
        batch = decode_batch(body, max_records=100)
    except WireError:
        return
    assert encode_batch(batch) == body


def test_the_bytes_are_those_of_the_docstring() -> None:
    """Held here byte by byte: other languages write them."""
    assert encode_batch([ONE]) == (
        b"\0\0\0\x03key"
        b"\0\0\0\x07\xc3\x01value"
        + struct.pack(">q", 1_700_000_000_000)
        + b"\0\0\0\x02"
        + b"\0\0\0\x04name\0\0\0\x07content"
        + b"\0\0\0\x04none\xff\xff\xff\xff"
    )
    assert encode_batch([WireRecord(None, b"")]) == b"\xff" * 4 + b"\0" * 4 + b"\xff" * 8 + b"\0" * 4


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"\0\0\0\x05ab", "a length reaches past the end"),
        (b"\xff\xff\xff\xfe", "a length reaches past the end"),
        (b"\xff" * 16 + b"\x7f\xff\xff\xff", "the number of headers"),
        (b"\xff" * 8 + b"\x80" + b"\0" * 7 + b"\0" * 4, "before 1970"),
        (b"\xff" * 16 + b"\0\0\0\x01" + b"\xff" * 8, "a header's name is null"),
        (b"\xff" * 16 + b"\0\0\0\x01" + b"\0\0\0\x01\xff" + b"\xff" * 4, "not UTF-8"),
        (b"PK\x03\x04 and what else there is", "a length reaches past the end"),
    ],
)
def test_what_is_no_batch_says_why_and_where(body: bytes, message: str) -> None:
    with pytest.raises(WireError, match=message) as caught:
        decode_batch(encode_batch([ONE]) + body, max_records=10)
    assert caught.value.message.startswith(f"record 1 of the body, from byte {wire_bytes(ONE)}: ")
    assert "value" not in caught.value.message


def test_a_batch_of_too_many_is_refused_before_they_are_read() -> None:
    with pytest.raises(WireError, match="more than 2 records"):
        decode_batch(encode_batch([ONE] * 3), max_records=2)


def test_a_batch_of_too_many_headers_is_refused_while_they_are_read() -> None:
    record = WireRecord(b"key", b"value", (("", None),) * 1_000)
    body = encode_batch([record] * 101)
    with pytest.raises(WireError, match="more than 100000 headers"):
        decode_batch(body, max_records=1_000)
    assert len(decode_batch(body[: len(body) // 101 * 100], max_records=1_000)) == 100


def test_an_answer_accounts_for_every_record() -> None:
    answer = Answer(2, (Refusal(0, "constraint", "toolName: too long"), Refusal(3, "truncated", "")))
    assert decode_answer(encode_answer(answer), sent=4) == answer
    assert decode_answer(b'{"accepted": 3}', sent=3) == Answer(3)
    assert json.loads(encode_answer(Answer(1))) == {"accepted": 1, "refused": []}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>sign in to the network</html>",
        b"\xff\xfe",
        b"[1]",
        b"[" * 100_000,
        b"{}",
        b'{"accepted": 3}',
        b'{"accepted": "2"}',
        b'{"accepted": true, "refused": [{"index": 0, "reason": "x"}]}',
        b'{"accepted": 2, "refused": 7}',
        b'{"accepted": 1, "refused": [{"index": 2, "reason": "x"}]}',
        b'{"accepted": 1, "refused": [{"index": "0", "reason": "x"}]}',
        b'{"accepted": 1, "refused": [{"reason": "x"}]}',
        b'{"accepted": 1, "refused": ["x"]}',
        b'{"accepted": 0, "refused": [{"index": 0, "reason": "x"}, {"index": 0, "reason": "x"}]}',
        b'{"accepted": 0, "refused": [{"index": 1, "reason": "x"}, {"index": 0, "reason": "x"}]}',
        b'{"accepted": -1, "refused": [{"index": 0, "reason": "x"}]}',
    ],
)
def test_what_is_no_answer_to_this_batch_is_refused(body: bytes) -> None:
    with pytest.raises(WireError):
        decode_answer(body, sent=2)


def test_an_error_names_itself_and_what_something_else_says_is_empty() -> None:
    assert decode_error(encode_error("key_revoked", "this key was revoked")) == ("key_revoked", "this key was revoked")
    assert decode_error(b"<html>502 Bad Gateway</html>") == ("", "")
    assert decode_error(b'{"error": {"code": 7}}') == ("", "")
