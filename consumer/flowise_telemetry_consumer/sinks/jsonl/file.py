"""A sink in a file of JSON lines: ``jsonl:///relative.jsonl`` or ``jsonl:////absolute.jsonl``."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl

from flowise_telemetry_consumer.errors import SinkError, SinkUnavailableError
from flowise_telemetry_consumer.sinks.jsonl.lines import (
    LINE_START,
    event_of,
    frame_of_lines,
    id_number,
    lines_of,
    without_known,
)
from flowise_telemetry_consumer.sinks.known_events import KnownEvents
from flowise_telemetry_consumer.sinks.local_files import file_identity, os_failure, sync_path, why_not_opened
from flowise_telemetry_consumer.sinks.port import Batch, WriteResult, require_prepared
from flowise_telemetry_schemas import EventSchema, ValidationError
from flowise_telemetry_schemas.json_mapping import milliseconds_of

__all__ = ["MAX_FILE_EVENTS", "JsonLinesFile"]

MAX_FILE_EVENTS = 5_000_000
"""Bound on the events of a file, whose ids are kept in memory at about 100 bytes each. Past it: ``SinkError``."""


class JsonLinesFile:
    """Events as lines of a file, each once.

    The whole file is read when it is opened for writing, and the ids are kept in memory (``MAX_FILE_EVENTS``). One
    program may write at a time. A batch that fails is truncated away; a kill -9 or a power cut may leave some lines of
    a batch, whole and valid, and the batch's next delivery adds the others.
    """

    def __init__(self, path: Path, *, max_file_events: int = MAX_FILE_EVENTS) -> None:
        self._path = path
        self._max_file_events = max_file_events
        self._schemas = KnownEvents()
        self._file: BinaryIO | None = None
        self._ids: dict[str, set[int]] = {}

    @property
    def url(self) -> str:
        """The address; a file has no password."""
        return f"jsonl:///{self._path}"

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    def know(self, schemas: Iterable[EventSchema]) -> None:
        """Take these for what the sink may hold, where it is not prepared."""
        self._schemas.tell(schemas)

    def unknown_tables(self) -> list[str]:
        """Return nothing: a file of lines has no tables."""
        return []

    def prepare(self, schemas: Iterable[EventSchema]) -> None:
        """Create or read the file, and keep other writers out until ``close``."""
        self._schemas.add(schemas)
        with self._translate_errors():
            self._open()

    def write(self, batch: Batch) -> WriteResult:
        """Append the new events and sync them to the disk."""
        require_prepared(self, batch, self._schemas)
        with self._translate_errors():
            file = self._open()
            fresh: dict[str, set[int]] = {}
            lines = []
            for event in sorted(batch.frames):
                frame, fresh[event] = without_known(batch.frames[event], self._ids.get(event, set()))
                lines.append(lines_of(self._schemas[event], frame))
            if sum(map(len, (*self._ids.values(), *fresh.values()))) > self._max_file_events:
                raise SinkError(
                    f"{self.url} holds the maximum number of events ({self._max_file_events}): use an sqlite sink"
                )
            self._append(file, b"".join(lines))
            for event, ids in fresh.items():
                self._ids.setdefault(event, set()).update(ids)
        written = {event: len(ids) for event, ids in fresh.items()}
        duplicates = {event: frame.height - written[event] for event, frame in batch.frames.items()}
        return WriteResult(written=written, duplicates=duplicates)

    def read(self, event: str, *, batch_rows: int = 10_000) -> Iterator[pl.DataFrame]:
        """Yield the rows of one event, up to the end of the file as of the start."""
        schema = self._schemas.find(event)
        lines: list[bytes] = []
        with self._translate_errors():
            for line in self._lines():
                if event_of(line) == event:
                    lines.append(line)
                if len(lines) == batch_rows:
                    yield self._frame(schema, lines)
                    lines = []
            if lines:
                yield self._frame(schema, lines)

    def counts(self) -> dict[str, int]:
        """Return the number of lines by event."""
        counts = dict.fromkeys(self._schemas.all(), 0)
        with self._translate_errors():
            for line in self._lines():
                event = event_of(line)
                if event in counts:
                    counts[event] += 1
        return counts

    def _frame(self, schema: EventSchema, lines: list[bytes]) -> pl.DataFrame:
        try:
            return frame_of_lines(schema, lines)
        except ValidationError as error:
            raise SinkError(
                f"{self.url} has a line that is no {schema.event}: {error}; import tells which lines are none",
                event=schema.event,
                field=error.field,
            ) from error

    def prune(self, before_ms: int, *, dry_run: bool = False) -> Iterator[Mapping[str, int]]:
        """Write the file anew without old events, in one step, and exchange the two; no other program may write.

        Lines of events that are not known stay.
        """
        if dry_run:
            with self._translate_errors():
                yield self._old_lines(before_ms)
            return
        with self._translate_errors():
            if not self._path.exists():
                raise FileNotFoundError(self._path)
            self._open()
            deleted = self._old_lines(before_ms)
            if deleted:
                self._rewrite(before_ms)
        yield deleted

    def _old_lines(self, before_ms: int) -> dict[str, int]:
        old = (document["event"] for line in self._lines() if _is_before(document := json.loads(line), before_ms))
        return dict(sorted(Counter(old).items()))

    def _rewrite(self, before_ms: int) -> None:
        anew = self._path.with_name(f"{self._path.name}.{secrets.token_hex(4)}.tmp")
        try:
            with anew.open("xb") as file:
                shutil.copymode(self._path, anew)
                file.writelines(line for line in self._lines() if not _is_before(json.loads(line), before_ms))
                file.flush()
                os.fsync(file.fileno())
            anew.replace(self._path)
            sync_path(self._path.parent)
        finally:
            anew.unlink(missing_ok=True)
            self._close_file()

    def close(self) -> None:
        """Close the file, which lets other writers in."""
        self._close_file()

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        self._ids = {}

    def _lines(self) -> Iterator[bytes]:
        with self._path.open("rb") as file:
            rest = os.fstat(file.fileno()).st_size
            for line in file:
                rest -= len(line)
                # Another program may still be writing the last line.
                if rest < 0 or not line.endswith(b"\n"):
                    return
                yield line

    def _open(self) -> BinaryIO:
        if self._file is not None:
            self._require_at_path(self._file)
            return self._file
        file = self._path.open("a+b", buffering=0)
        try:
            self._lock(file)
            self._ids, whole_bytes = self._read_ids()
            if whole_bytes < os.fstat(file.fileno()).st_size:
                file.truncate(whole_bytes)
        except BaseException:
            file.close()
            raise
        self._file = file
        return file

    def _lock(self, file: BinaryIO) -> None:
        from portalocker import AlreadyLocked, LockException, LockFlags, lock  # only where there is a file to lock

        try:
            lock(file, LockFlags.EXCLUSIVE | LockFlags.NON_BLOCKING)
        except AlreadyLocked as error:
            raise SinkUnavailableError(
                f"another program writes to {self.url}: a file of JSON lines takes one, an sqlite sink takes many"
            ) from error
        except LockException as error:
            raise SinkError(f"{self.url} cannot be locked: {error.strerror}") from error

    def _read_ids(self) -> tuple[dict[str, set[int]], int]:
        """Return the ids in the file and the end of its last whole line; a line that a kill cut off does not count."""
        ids: dict[str, set[int]] = {event: set() for event in self._schemas}
        whole_bytes = 0
        with self._path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    if not line.endswith(b"\n"):
                        if LINE_START.startswith(line[: len(LINE_START)]):
                            break
                        raise ValueError  # noqa: TRY301 - reported below, like any other line that is not ours
                    document = json.loads(line)
                    event_id = id_number(document["properties"]["eventId"])
                    ids.setdefault(document["event"], set()).add(event_id)
                except (ValueError, TypeError, KeyError, AttributeError) as error:
                    raise SinkError(f"{self.url}: line {number} is not an event: name another file") from error
                whole_bytes += len(line)
        return ids, whole_bytes

    def _append(self, file: BinaryIO, data: bytes) -> None:
        before = os.fstat(file.fileno()).st_size
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        except BaseException:
            with contextlib.suppress(OSError):
                file.truncate(before)
            # Reading the file again is safer than guessing the state after a failed write or fsync.
            self._close_file()
            raise
        self._require_at_path(file)

    def _require_at_path(self, file: BinaryIO) -> None:
        """Raise where the file was removed or replaced: later writes to it would be lost silently."""
        if file_identity(file.fileno()) != file_identity(self._path):
            self._close_file()
            raise SinkUnavailableError(f"{self.url} was moved or removed while it was open; it will be created again")

    @contextlib.contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise SinkError(f"{self.url} cannot be opened: {why_not_opened(self._path)}") from error
        except PermissionError as error:
            raise SinkError(f"{self.url} may not be written by this user: give it the file and its folder") from error
        except OSError as error:
            raise os_failure(error, self.url) from error


def _is_before(document: Mapping[str, Any], before_ms: int) -> bool:
    return milliseconds_of(document["properties"]["occurredAt"]) < before_ms
