"""Events on disk until Kafka has acknowledged them: one SQLite file per sending process, in one folder for all.

A process holds SQLite's exclusive lock on its file as long as it lives. So a file that can be locked was left by a dead
process, and the first process that locks it adopts its events. WAL with ``synchronous=NORMAL``: events survive a crash
of the app; a crash of the machine can lose the last ones (sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from flowise_telemetry.encoding.encoder import Encoded
from flowise_telemetry.spool.files import (
    OPEN_HERE,
    connect,
    delete_orphans,
    folder_bytes,
    is_corruption,
    orphans,
    remove_file,
    set_aside,
    spool_name,
)

__all__ = ["Spool", "SpoolError"]

_ROW_BYTES = 150  # of a row without its value
_TABLE = """
CREATE TABLE IF NOT EXISTS event (
    id INTEGER PRIMARY KEY,
    event TEXT NOT NULL,
    event_id TEXT NOT NULL,
    occurred_at_ms INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    value BLOB NOT NULL
)
"""


class SpoolError(Exception):
    """The spool failed: disk full, not writable, damaged, or at its limit of bytes. The events are still in memory."""


class Spool:
    """The file of this process, for use by one thread. All methods raise ``SpoolError``.

    What occurred at ``opted_out_at_ms`` or before is never adopted: it was accepted before an opt-out.
    """

    def __init__(self, folder: Path, *, max_bytes: int, opted_out_at_ms: int = 0) -> None:
        self._folder = folder
        self._opted_out_at_ms = opted_out_at_ms
        self._max_bytes = max_bytes
        self._path = folder / spool_name()
        self._connection: sqlite3.Connection | None = None
        self._last_id = 0
        self._held_bytes = 0
        self._others_bytes = 0
        self.events = 0
        """Events in the file. Any thread may read it."""
        self.withdrawn: list[str] = []
        """Names of events that were found, and deleted because of an opt-out after them."""

    def another(self) -> Spool:
        """Return a spool with a file of its own in the same folder, for another thread."""
        return Spool(self._folder, max_bytes=self._max_bytes)

    @contextmanager
    def _guarded(self) -> Iterator[sqlite3.Connection]:
        try:
            yield self._open()
        except (sqlite3.Error, OSError) as error:
            if is_corruption(error):
                self._abandon()
            raise SpoolError(f"{self._folder}: {error}") from error

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Before we have locked the new file, another process may adopt it as an orphan: then try another name.
            with contextlib.suppress(sqlite3.Error, FileNotFoundError):
                return self._make()
            return self._make()
        return self._connection

    def _make(self) -> sqlite3.Connection:
        os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        OPEN_HERE.add(str(self._path))
        connection = None
        try:
            connection = connect(self._path)
            with connection:
                connection.execute(_TABLE)
            self._path.stat()
        except (sqlite3.Error, OSError):
            if connection is not None:
                connection.close()
            remove_file(self._path)
            self._renew()
            raise
        self._connection = connection
        return connection

    def _renew(self) -> None:
        OPEN_HERE.discard(str(self._path))
        self._path = self._folder / spool_name()
        self._held_bytes = 0  # row ids continue: events in memory still carry those of the old file
        self.events = 0

    def _abandon(self) -> None:
        """Set the damaged file aside and start another at the next use."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        set_aside(self._path)
        self._renew()

    def add(self, events: Iterable[Encoded]) -> None:
        """Store events, all or none, and set the ``row`` of each."""
        events = list(events)
        rows = []
        for row, encoded in enumerate(events, self._last_id + 1):
            rows.append((row, encoded.event, encoded.event_id, encoded.occurred_at_ms, encoded.sequence, encoded.value))
        size = sum(len(encoded.value) + _ROW_BYTES for encoded in events)
        if self._held_bytes + self._others_bytes + size > self._max_bytes:
            self._others_bytes = folder_bytes(self._folder, except_for=self._path)
            if self._held_bytes + self._others_bytes + size > self._max_bytes:
                raise SpoolError(f"{self._folder} is at its limit of {self._max_bytes} bytes")
        with self._guarded() as connection, connection:
            connection.executemany("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)", rows)
        for encoded, (row, *_) in zip(events, rows, strict=True):
            encoded.row = row
        self._last_id += len(rows)
        self.events += len(rows)
        self._held_bytes += size

    def remove(self, rows: Iterable[int]) -> None:
        """Remove events that are delivered or dropped."""
        with self._guarded() as connection, connection:
            for row in rows:
                found = connection.execute("DELETE FROM event WHERE id = ? RETURNING length(value)", (row,)).fetchone()
                if found:
                    self._held_bytes -= found[0] + _ROW_BYTES
                    self.events -= 1

    def load(self, *, after_row: int, limit: int) -> list[Encoded]:
        """Return the next events, in the order in which they were stored."""
        with self._guarded() as connection:
            found = connection.execute(
                "SELECT event, event_id, occurred_at_ms, sequence, value, id FROM event"
                " WHERE id > ? ORDER BY id LIMIT ?",
                (after_row, limit),
            ).fetchall()
        return [Encoded(*row) for row in found]

    def lowest_sequence(self, *, after_row: int) -> int | None:
        """Return the lowest sequence of this process's own events after the row."""
        with self._guarded() as connection:
            query = "SELECT min(sequence) FROM event WHERE id > ? AND sequence >= 0"
            (lowest,) = connection.execute(query, (after_row,)).fetchone()
        return None if lowest is None else int(lowest)

    def adopt(self) -> int:
        """Adopt the events of dead processes and return their number. Damaged files are set aside."""
        adopted = 0
        for path in orphans(self._folder, except_for=self._path):
            try:
                adopted += self._adopt(path)
            except sqlite3.Error as error:
                if is_corruption(error):
                    set_aside(path)
                # Otherwise it is locked, so its process lives, or cannot be read now: try again later.
        return adopted

    def _adopt(self, path: Path) -> int:
        with closing(connect(path, wait_ms=0)) as orphan:
            orphan.execute("BEGIN IMMEDIATE")
            found = []
            if orphan.execute(
                "SELECT 1 FROM sqlite_master WHERE name = 'event'"
            ).fetchone():  # no table: the process died just after creating the file
                query = "SELECT event, event_id, occurred_at_ms, -1, value FROM event ORDER BY id"
                found = orphan.execute(query).fetchall()
            orphan.rollback()
            # Stored here first, then deleted there: a crash in between sends them twice, under the same eventId.
            kept = [row for row in found if row[2] > self._opted_out_at_ms]
            if kept:
                self.add(Encoded(*row) for row in kept)
            if found:
                with orphan:
                    orphan.execute("DELETE FROM event")
            remove_file(path)
        self.withdrawn += [row[0] for row in found if row[2] <= self._opted_out_at_ms]
        return len(kept)

    def close(self) -> None:
        """Close the file, and delete it if it is empty."""
        if self._connection is None:
            return
        with self._guarded() as connection:
            (left,) = connection.execute("SELECT count(*) FROM event").fetchone()
            if not left:
                remove_file(self._path)
            connection.close()
        OPEN_HERE.discard(str(self._path))
        self._connection = None

    def delete(self) -> None:
        """Delete the file with all its events, and the files that ended processes left."""
        if self._connection is not None:
            remove_file(self._path)
            self._connection.close()
            self._connection = None
            self._renew()
        delete_orphans(self._folder)
