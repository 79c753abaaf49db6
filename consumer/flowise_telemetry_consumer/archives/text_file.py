"""A file of lines, plain or compressed, or standard input: read in blocks, from a place in the middle if need be."""

from __future__ import annotations

import contextlib
import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from flowise_telemetry_consumer.archives.packing import GZIP, ZSTANDARD, DamagedError, of_zstandard
from flowise_telemetry_consumer.errors import IncompleteReadError, SinkError
from flowise_telemetry_consumer.sinks.local_files import os_failure, why_not_opened

__all__ = ["MAX_LINE_BYTES", "STANDARD_INPUT", "Block", "TextFile"]

MAX_LINE_BYTES = 4 * 1_048_576
"""Several times the largest event that the schemas allow. Of a longer line only so much, and a byte, is kept."""

STANDARD_INPUT = "-"

_BLOCK_BYTES = 262_144
_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Block:
    """Lines without their line feeds. ``first`` is the number of the first, from 1.

    ``end`` is where the next block begins, in bytes of the uncompressed file. ``is_cut`` if the last line is the file's
    and has no line feed.
    """

    lines: list[bytes]
    first: int
    end: int
    is_cut: bool = False


class TextFile:
    """A file by its path, or standard input for ``-``. gzip and zstandard are told by the first bytes."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._raw: BinaryIO | None = None
        self.name = "standard input" if path == STANDARD_INPUT else path

    def size_bytes(self) -> int:
        """Return the size of the file as it lies on the disk; 0 where that is not known. Raises ``SinkError``."""
        if self._path == STANDARD_INPUT:
            return 0
        with self._translate_errors():
            return Path(self._path).stat().st_size

    def done_bytes(self) -> int:
        """Return how much of ``size_bytes`` was read."""
        return self._raw.tell() if self._raw is not None and not self._raw.closed else 0

    def blocks(self, start: int = 0) -> Iterator[Block]:
        """Yield the lines from ``start``, the ``end`` of a block, on.

        Raises ``SinkError`` if the file cannot be read, and ``IncompleteReadError`` where its compression is damaged or
        the file is cut, once what is before that was yielded.
        """
        reached = 0
        try:
            with self._translate_errors(), self._opened() as raw:
                for block in _blocks(self._unpacked(raw), start):
                    yield block
                    reached = block.first + len(block.lines) - 1
        except (EOFError, zlib.error, gzip.BadGzipFile, DamagedError) as error:
            raise IncompleteReadError(
                f"{self.name} is damaged or cut after line {reached:,}: bring it again"
            ) from error

    def line_at(self, start: int) -> int:
        """Return the number of the line that begins at a byte of the uncompressed file."""
        number, end = 1, 0
        with self._translate_errors(), self._opened() as raw:
            for chunk in self._unpacked(raw):
                if end + len(chunk) >= start:
                    return number + chunk.count(b"\n", 0, start - end)
                number += chunk.count(b"\n")
                end += len(chunk)
        return number

    @contextlib.contextmanager
    def _opened(self) -> Iterator[io.BufferedReader]:
        with contextlib.ExitStack() as opened:
            if self._path == STANDARD_INPUT:
                raw = sys.stdin.buffer
            else:
                raw = opened.enter_context(Path(self._path).open("rb"))
            self._raw = None if self._path == STANDARD_INPUT else raw
            yield raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(cast("io.RawIOBase", raw))

    def _unpacked(self, raw: io.BufferedReader) -> Iterator[bytes]:
        start = raw.peek(4)
        if start.startswith(_UTF16_MARKS):
            raise SinkError(f"{self.name} is in UTF-16: write it in UTF-8")
        if start.startswith(ZSTANDARD):
            return of_zstandard(raw)
        file = gzip.GzipFile(fileobj=raw) if start.startswith(GZIP) else raw
        # One read of the file at a time: with several, damage in the last would take the others along.
        return iter(lambda: file.read1(_BLOCK_BYTES), b"")

    @contextlib.contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except gzip.BadGzipFile:
            raise
        except FileNotFoundError as error:
            raise SinkError(f"{self.name} cannot be opened: {why_not_opened(Path(self._path))}") from error
        except PermissionError as error:
            raise SinkError(f"{self.name} may not be read by this user") from error
        except IsADirectoryError as error:
            raise SinkError(f"{self.name} is a folder: name a file") from error
        except OSError as error:
            raise os_failure(error, self.name) from error


def _blocks(chunks: Iterator[bytes], start: int) -> Iterator[Block]:
    """Yield the whole lines of each chunk, from a byte on."""
    number, end, rest, dropped = 1, 0, b"", 0
    for given in chunks:
        chunk = given
        if end < start:
            chunk = given[start - end :]
            end += len(given) - len(chunk)
            number += given.count(b"\n", 0, len(given) - len(chunk))
        elif end == 0 and not rest and not dropped and given.startswith(_UTF8_MARK):
            chunk = given.removeprefix(_UTF8_MARK)
            end = len(_UTF8_MARK)
        whole, feed, after = chunk.rpartition(b"\n")
        if feed:
            lines = (rest + whole).split(b"\n")
            end += dropped + len(rest) + len(whole) + 1
            yield Block(lines, number, end)
            number += len(lines)
            rest, dropped = b"", 0
        rest += after
        if len(rest) > MAX_LINE_BYTES + 1:  # enough to tell that it is too long
            dropped += len(rest) - MAX_LINE_BYTES - 1
            rest = rest[: MAX_LINE_BYTES + 1]
    if rest:
        yield Block([rest], number, end + dropped + len(rest), is_cut=True)
    if end < start:
        raise DamagedError
