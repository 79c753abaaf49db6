"""A local record of delivered events and their offsets: ``FLOWISE_TELEMETRY_LOG=file``, one JSON object a line."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from flowise_telemetry.encoding.encoder import Encoded
from flowise_telemetry.encoding.preview import preview_of
from flowise_telemetry_schemas import Catalog, DecodeError
from flowise_telemetry_schemas.codec import HEADER_BYTES
from flowise_telemetry_transport.types import Delivery

__all__ = ["Ledger", "LedgerEntry", "ledger_files", "read_ledger"]

logger = logging.getLogger("flowise_telemetry")

_OLDER = ".1"
_RETRY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One delivered event. ``sent_at_ms`` is the time of the acknowledgement, in milliseconds since 1970.

    Of an event that a gateway took, ``topic`` is ``gateway``; its partition and offset are not known.
    """

    sent_at_ms: int
    event: str
    event_id: str
    schema_fingerprint: str
    topic: str
    partition: int | None
    offset: int | None
    record: Mapping[str, Any]


class Ledger:
    """Appends to a file of mode 0600.

    At half of ``max_bytes`` the file is renamed to ``file.1``, replacing the previous one. Processes may share a file:
    each line is appended in one write. If the file cannot be written, one WARNING is logged and the file is tried again
    after a minute; events are sent all the same.
    """

    def __init__(self, path: Path, *, max_bytes: int, schemas: Catalog | None = None) -> None:
        self._schemas = schemas
        self._path = path
        self._part_max_bytes = max_bytes // 2
        self._file: TextIO | None = None
        self._lines: list[str] = []
        self._warned = False
        self._paused_until = 0.0

    def append(self, encoded: Encoded, delivery: Delivery) -> None:
        """Take an event down; ``flush`` writes it."""
        if time.monotonic() < self._paused_until:
            return
        fingerprint, record = self._read(encoded, delivery.topic)
        entry = {
            "sentAt": time.time_ns() // 1_000_000,
            "event": encoded.event,
            "eventId": encoded.event_id,
            "schema": fingerprint,
            "topic": delivery.topic,
            "partition": None if delivery.partition < 0 else delivery.partition,
            "offset": None if delivery.offset < 0 else delivery.offset,
            "record": record,
        }
        self._lines.append(json.dumps(entry, separators=(",", ":")) + "\n")

    def _read(self, encoded: Encoded, topic: str) -> tuple[str, Mapping[str, Any]]:
        try:
            shown = preview_of(encoded.key, encoded.value, topic, schemas=self._schemas)
        except DecodeError:  # out of the spool, left by a process that had other events of the app's own
            return encoded.value[2:HEADER_BYTES][::-1].hex(), {}
        return shown.schema_fingerprint, shown.record

    def flush(self) -> None:
        """Write the events taken down since the last call."""
        lines, self._lines = self._lines, []
        if not lines:
            return
        try:
            file = self._opened()
            for line in lines:
                file.write(line)
                file.flush()
            if file.tell() >= self._part_max_bytes:
                self._rotate()
        except OSError as error:
            self._paused_until = time.monotonic() + _RETRY_SECONDS
            self.close()
            level = logging.DEBUG if self._warned else logging.WARNING
            logger.log(level, "telemetry: the ledger %s cannot be written: %s", self._path, error)
            self._warned = True

    def _opened(self) -> TextIO:
        if self._file is not None:
            # Another process may have renamed it.
            with contextlib.suppress(FileNotFoundError):
                if self._path.stat().st_ino == os.fstat(self._file.fileno()).st_ino:
                    return self._file
            self.close()
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._file = os.fdopen(descriptor, "a", encoding="utf-8")
        return self._file

    def _rotate(self) -> None:
        self.close()
        with contextlib.suppress(FileNotFoundError):
            self._path.replace(self._path.with_name(self._path.name + _OLDER))

    def close(self) -> None:
        """Close the file; a later ``flush`` opens it again."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None


def ledger_files(path: Path) -> list[Path]:
    """Return the files of a ledger, oldest first; they may not exist."""
    return [path.with_name(path.name + _OLDER), path]


def read_ledger(path: Path) -> Iterator[LedgerEntry]:
    """Yield the entries, oldest first, skipping a line that a crash cut short.

    Raises ``FileNotFoundError`` if there is no ledger, and ``OSError`` if it cannot be read.
    """
    parts = [part for part in ledger_files(path) if part.exists()]
    if not parts:
        raise FileNotFoundError(2, "no such ledger", str(path))
    for part in parts:
        with part.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    entry = json.loads(line)
                    yield LedgerEntry(
                        entry["sentAt"],
                        entry["event"],
                        entry["eventId"],
                        entry["schema"],
                        entry["topic"],
                        entry["partition"],
                        entry["offset"],
                        entry["record"],
                    )
