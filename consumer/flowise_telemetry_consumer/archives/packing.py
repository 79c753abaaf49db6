"""Compression of files of events, told by their first bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from flowise_telemetry_schemas import MissingExtraError

__all__ = ["GZIP", "ZSTANDARD", "DamagedError", "of_zstandard"]

GZIP, ZSTANDARD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_MAX_WINDOW_BYTES = 128 * 1_048_576
_PACKED_BYTES = 1_024


class DamagedError(Exception):
    """Compressed bytes that are none, or end too early."""


def of_zstandard(raw: BinaryIO) -> Iterator[bytes]:
    """Yield what is compressed in one frame or several. Raises ``DamagedError``, also for a file that was cut.

    A few bytes at a time: each may stand for 32,000.
    """
    try:
        import zstandard
    except ImportError as error:
        raise MissingExtraError("zstandard", "codecs") from error
    unpacker = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
    frame = unpacker.decompressobj()
    is_begun = False
    try:
        while data := raw.read(_PACKED_BYTES):
            while data:
                if frame.eof:
                    frame = unpacker.decompressobj()
                unpacked = frame.decompress(data)
                data = frame.unused_data if frame.eof else b""
                is_begun = not frame.eof
                if unpacked:
                    yield unpacked
    except zstandard.ZstdError as error:
        raise DamagedError from error
    if is_begun:
        raise DamagedError
