"""kafka-python-ng 2.2.3: compressed batches that it does not unpack, although nothing is wrong with them.

A zstd frame that does not tell its size, as producers that stream leave it, is unpacked up to 1 MiB and refused past
that (``kafka.codec.ZSTD_MAX_OUTPUT_SIZE``). Where the library of a codec is not installed, the error of an old message
format looks like that of a broken record. It is told apart: the environment is at fault, and no record is lost by it.

Unnecessary once ``kafka.codec.zstd_decode`` unpacks by streams.
"""

from __future__ import annotations

import io
from typing import Any

from flowise_telemetry_schemas.errors import MissingExtraError

__all__ = ["EXTRA", "unpack_batch"]

EXTRA = "codecs"

_SNAPPY, _LZ4, _ZSTD = 2, 3, 4


def unpack_batch(batch: Any, topic: str, partition: int) -> None:
    """Unpack a batch where the client would not. Raises ``MissingExtraError`` before any of its records is read."""
    codec = batch.compression_type
    if not codec:
        return
    missing = _missing_package(codec, is_oldest=not hasattr(batch, "base_offset") and batch._magic == 0)
    if missing is not None:
        name, package = missing
        raise MissingExtraError(f"{topic}[{partition}] has records that are compressed with {name}: {package}", EXTRA)
    if codec == _ZSTD and hasattr(batch, "base_offset") and not batch._decompressed:
        batch._buffer = bytearray(_unpack_zstd(bytes(memoryview(batch._buffer)[batch._pos :])))
        batch._pos = 0
        batch._decompressed = True


def _missing_package(codec: int, *, is_oldest: bool) -> tuple[str, str] | None:
    """Return the codec's name and the package that it lacks."""
    from kafka import codec as codecs

    if codec == _SNAPPY and not codecs.has_snappy():
        return "snappy", "python-snappy"
    if codec == _LZ4 and not codecs.has_lz4():
        return "lz4", "lz4"
    if codec == _LZ4 and is_oldest and codecs.xxhash is None:
        return "lz4 in the format of Kafka 0.9", "xxhash"
    if codec == _ZSTD and not codecs.has_zstd():
        return "zstd", "zstandard"
    return None


def _unpack_zstd(packed: bytes) -> bytes:
    import zstandard

    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(packed), read_across_frames=True) as stream:
        return bytes(stream.read())
