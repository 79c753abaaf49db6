"""Batches of records as kafka-python-ng fetches them: ours are the client's, whatever is in the bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowise_telemetry_transport import Record
from flowise_telemetry_transport.kafka_python.patches import fetching

pytest.importorskip("kafka.record.default_records")

Message = tuple[int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]

contents = st.none() | st.binary(max_size=200)
messages: st.SearchStrategy[list[Message]] = st.lists(
    st.tuples(
        st.integers(0, 2**41),
        contents,
        contents,
        st.just([]) | st.lists(st.tuples(st.text("abc", max_size=3), contents), max_size=2),
    ),
    min_size=1,
    max_size=12,
)


def batch_of(listed: list[Message], *, compression: int = 0) -> bytearray:
    from kafka.record.default_records import DefaultRecordBatchBuilder

    builder = DefaultRecordBatchBuilder(2, compression, False, -1, -1, -1, 1_000_000)
    for offset, (timestamp_ms, key, value, headers) in enumerate(listed):
        assert builder.append(offset, timestamp_ms, key, value, headers) is not None
    return bytearray(builder.build())


def read(data: bytearray) -> list[Record | fetching.Unreadable]:
    from kafka.record.default_records import DefaultRecordBatch

    class Unchecked(DefaultRecordBatch):  # type: ignore[misc]  # kafka-python ships no types
        def validate_crc(self) -> bool:
            return True

    return list(fetching.records_of(Unchecked(bytes(data)), 0, "topic", 3))


def read_by_the_client(data: bytearray, patch: pytest.MonkeyPatch) -> list[Record | fetching.Unreadable]:
    def none_of_them(*_: Any) -> Iterator[Record]:
        return iter(())

    with patch.context() as patched:
        patched.setattr(fetching, "_plain_records", none_of_them)
        return read(data)


@pytest.mark.parametrize("compression", [0, 1], ids=["plain", "gzip"])
@given(listed=messages)
def test_every_record_of_a_batch(listed: list[Message], compression: int) -> None:
    wanted = [
        Record("topic", 3, offset, timestamp_ms, key, value, tuple(headers))
        for offset, (timestamp_ms, key, value, headers) in enumerate(listed)
    ]
    assert read(batch_of(listed, compression=compression)) == wanted


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(listed=messages, data=st.data())
def test_broken_bytes_are_read_as_the_client_reads_them(
    listed: list[Message], data: st.DataObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(listed)
    head = 61  # of a batch of format v2
    for place in data.draw(st.lists(st.integers(head, len(batch) - 1), min_size=1, max_size=4), "places"):
        batch[place] = data.draw(st.integers(0, 255) | st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]), "byte")
    batch = batch[: data.draw(st.just(len(batch)) | st.integers(head + 1, len(batch)), "cut")]
    assert read(batch) == read_by_the_client(batch, monkeypatch)


def test_a_number_without_an_end_costs_no_time() -> None:
    batch = batch_of([(0, b"k", b"v" * 100_000, [])])
    batch[61:] = b"\xff" * (len(batch) - 61)
    (found,) = read(batch)
    assert isinstance(found, fetching.Unreadable)


def test_attributes_are_left_to_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = batch_of([(0, None, None, [])])
    batch[62] = 0x80  # after the length; the client takes it for the first byte of a longer number
    assert read(batch) == read_by_the_client(batch, monkeypatch)
