"""A file of events that is written anew without those that hold an erased id, and exchanged whole."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import secrets
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from flowise_telemetry_consumer.archives.file_archive import format_of
from flowise_telemetry_consumer.archives.packing import GZIP, ZSTANDARD, DamagedError, of_zstandard
from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.sinks.erasures import ErasedIds
from flowise_telemetry_consumer.sinks.local_files import os_failure, sync_path, why_not_opened

__all__ = ["erase_from_file"]


def erase_from_file(path: Path, ids: ErasedIds, *, dry_run: bool = False) -> int:
    """Return how many lines (rows of CSV) hold one of the ids in any field, and write the file anew without them.

    Lines that are no valid events are looked at too, so that a file of rejects is one like any other. The compression
    stays. A kill leaves the old file whole. No other program may write to it. Raises ``SinkError`` for a file that
    cannot be read to its end.
    """
    is_csv = format_of(path.name) == "csv"
    anew = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    count = 0

    def kept(lines: Iterable[bytes]) -> Iterator[bytes]:
        nonlocal count
        for number, line in enumerate(_rows(lines) if is_csv else lines):
            if not (is_csv and number == 0) and _holds(line, ids):
                count += 1
            else:
                yield line

    try:
        with _translated(path), path.open("rb") as raw:
            read, write = _codec(raw.read(4))
            raw.seek(0)
            if dry_run:
                for _ in kept(read(raw)):
                    pass
                return count
            with anew.open("xb") as file:
                with write(file) as packed:
                    for line in kept(read(raw)):  # zstandard has no writelines
                        packed.write(line)
                file.flush()
                os.fsync(file.fileno())
            if count:
                shutil.copymode(path, anew)
                anew.replace(path)
                sync_path(path.absolute().parent)
    finally:
        anew.unlink(missing_ok=True)
    return count


def _holds(line: bytes, ids: ErasedIds) -> bool:
    text = line.lower()
    if b"\\u" in text:  # JSON may spell any character so
        with contextlib.suppress(ValueError, RecursionError):
            text = json.dumps(json.loads(line)).lower().encode()
    return ids.stand_in(text)


def _rows(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield rows of CSV: a quoted cell may hold line feeds (RFC 4180)."""
    row = b""
    for line in lines:
        row += line
        if row.count(b'"') % 2 == 0:
            yield row
            row = b""
    if row:
        yield row


def _codec(start: bytes) -> tuple[Callable[[BinaryIO], Iterable[bytes]], Callable[[BinaryIO], Any]]:
    if start.startswith(GZIP):
        return lambda raw: gzip.GzipFile(fileobj=raw), lambda file: gzip.GzipFile(fileobj=file, mode="wb", mtime=0)
    if start.startswith(ZSTANDARD):
        return lambda raw: io.BufferedReader(_Chunks(of_zstandard(raw))), _zstandard_writer
    return lambda raw: raw, contextlib.nullcontext


def _zstandard_writer(file: BinaryIO) -> Any:
    import zstandard

    return zstandard.open(file, "wb", closefd=False)


class _Chunks(io.RawIOBase):
    """Chunks of bytes, none of them empty, as a file to be read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._rest = self._rest or memoryview(next(self._chunks, b""))
        part, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise SinkError(f"{path} cannot be opened: {why_not_opened(path)}") from error
    except (EOFError, zlib.error, gzip.BadGzipFile, DamagedError) as error:
        raise SinkError(f"{path} is damaged or cut: nothing was changed; bring it again") from error
    except OSError as error:
        raise os_failure(error, str(path)) from error
