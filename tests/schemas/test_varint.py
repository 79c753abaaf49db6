"""Variable-length zig-zag numbers."""

from __future__ import annotations

import io

import fastavro
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowise_telemetry_schemas.varint import decode_long, encode_long, encode_unsigned

longs = st.integers(-(2**63), 2**63 - 1)


@pytest.mark.parametrize(
    ("number", "data"), [(0, "00"), (-1, "01"), (1, "02"), (-2, "03"), (2, "04"), (-64, "7f"), (64, "8001")]
)
def test_the_specification_s_examples(number: int, data: str) -> None:
    assert encode_long(number).hex() == data
    assert decode_long(bytes.fromhex(data), 0) == (number, len(data) // 2)


@pytest.mark.parametrize("number", [0, 1, -1, 63, 64, -64, -65, 300, 2**31, -(2**63), 2**63 - 1])
def test_numbers_are_those_of_the_specification(number: int) -> None:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, {"type": "long"}, number)
    assert encode_long(number) == out.getvalue()


@given(number=longs, before=st.binary(max_size=3), after=st.binary(max_size=3))
def test_a_number_comes_back_from_where_it_stands(number: int, before: bytes, after: bytes) -> None:
    data = encode_long(number)
    assert decode_long(before + data + after, len(before)) == (number, len(before) + len(data))


@given(number=st.integers(64, 2**63 - 1))
@example(number=64)
def test_the_first_six_bits_and_the_rest_can_be_encoded_apart(number: int) -> None:
    """As the producer's compiled encoder does it with the sequence."""
    assert bytes([(number & 63) << 1 | 0x80]) + encode_unsigned(number >> 6) == encode_long(number)


@given(number=longs, more=st.integers(0, 9))
def test_a_number_may_have_more_bytes_than_it_needs(number: int, more: int) -> None:
    data = bytearray(encode_long(number))
    data[-1] |= 0x80
    data += bytes([0x80] * more + [0])
    if len(data) <= 10:
        assert decode_long(bytes(data), 0) == (number, len(data))
    else:
        with pytest.raises(ValueError, match="more than 64 bits"):
            decode_long(bytes(data), 0)


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff" * 9])
def test_a_number_without_an_end_is_an_index_error(data: bytes) -> None:
    with pytest.raises(IndexError):
        decode_long(data, 0)
