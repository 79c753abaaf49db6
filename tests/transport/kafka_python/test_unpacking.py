"""Compressed batches with kafka-python-ng: of any size, and with a codec whose library is not there."""

from __future__ import annotations

from typing import Any

import pytest

from flowise_telemetry_schemas import MissingExtraError
from flowise_telemetry_transport import Record
from flowise_telemetry_transport.kafka_python.patches.fetching import Unreadable, records_of

pytest.importorskip("kafka.record.default_records")

CODECS = {1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}
LIBRARIES = {2: ("snappy", "python-snappy"), 3: ("lz4", "lz4"), 4: ("zstd", "zstandard")}


def batch_of(codec: int, values: list[bytes]) -> Any:
    from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

    builder = DefaultRecordBatchBuilder(2, codec, False, -1, -1, -1, 100_000_000)
    for offset, value in enumerate(values):
        assert builder.append(offset, 1_700_000_000_000, b"k", value, []) is not None
    return DefaultRecordBatch(bytes(builder.build()))


def old_batch_of(codec: int, magic: int, values: list[bytes]) -> Any:
    from kafka.record.legacy_records import LegacyRecordBatch, LegacyRecordBatchBuilder

    builder = LegacyRecordBatchBuilder(magic, codec, 100_000_000)
    for offset, value in enumerate(values):
        assert builder.append(offset, 1_700_000_000_000, b"k", value) is not None
    return LegacyRecordBatch(bytes(builder.build()), magic)


def values_of(batch: Any) -> list[bytes | None]:
    found = list(records_of(batch, 0, "topic", 3))
    assert all(isinstance(each, Record) for each in found)
    return [each.value for each in found if isinstance(each, Record)]


@pytest.mark.parametrize("codec", CODECS, ids=CODECS.values())
def test_every_codec(codec: int) -> None:
    assert values_of(batch_of(codec, [b"one", b"two" * 1_000])) == [b"one", b"two" * 1_000]


def test_a_zstd_frame_that_does_not_tell_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    import zstandard
    from kafka.record import default_records

    def by_streams(payload: bytes) -> bytes:
        stream = zstandard.ZstdCompressor().compressobj()
        return bytes(stream.compress(payload) + stream.flush())

    monkeypatch.setattr(default_records, "zstd_encode", by_streams)
    values = [bytes(5_000_000), b"small"]
    assert values_of(batch_of(4, values)) == values


# zstd came with the newest format.
@pytest.mark.parametrize(("codec", "magic"), [(2, 0), (2, 1), (2, 2), (3, 0), (3, 1), (3, 2), (4, 2)])
def test_a_codec_without_its_library_is_no_broken_record(
    codec: int, magic: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kafka import codec as codecs

    batch = batch_of(codec, [b"one"] * 9) if magic == 2 else old_batch_of(codec, magic, [b"one"] * 9)
    name, package = LIBRARIES[codec]
    monkeypatch.setattr(codecs, {"snappy": "snappy", "lz4": "lz4", "zstd": "zstd"}[name], None)
    wanted = (
        rf"topic\[3\] has records that are compressed with {name}: {package} is not installed: pip install '.*codecs"
    )
    with pytest.raises(MissingExtraError, match=wanted):
        list(records_of(batch, 0, "topic", 3))


def test_the_oldest_lz4_needs_one_more(monkeypatch: pytest.MonkeyPatch) -> None:
    from kafka import codec as codecs

    batch = old_batch_of(3, 0, [b"one"] * 9)
    monkeypatch.setattr(codecs, "xxhash", None)
    with pytest.raises(MissingExtraError, match="xxhash is not installed"):
        list(records_of(batch, 0, "topic", 3))


@pytest.mark.parametrize("codec", CODECS, ids=CODECS.values())
def test_a_batch_that_no_codec_unpacks_is_unreadable(codec: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from kafka.record.default_records import DefaultRecordBatch

    batch = batch_of(codec, [b"one" * 1_000])
    broken = bytearray(batch._buffer)
    broken[61:] = b"\xff" * (len(broken) - 61)
    monkeypatch.setattr(DefaultRecordBatch, "validate_crc", lambda _: True)
    (found,) = records_of(DefaultRecordBatch(bytes(broken)), 0, "topic", 3)
    assert isinstance(found, Unreadable)
    assert found.reason.startswith("its batch cannot be unpacked: ")
