"""One file of a spool: an SQLite database that this process holds locked until it closes it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from flowise_telemetry.encoding.encoder import Encoded
from flowise_telemetry.spool.files import claim, connect, disown, is_corruption, remove_file, set_aside
from flowise_telemetry_schemas.envelope import STREAM_STATE

__all__ = ["SpoolFile"]

_REMOVE_AT_ONCE_ROWS = 100  # bounds what one transaction adds to the write-ahead log
_INSERT_AT_ONCE_ROWS = 100  # of six values: SQLite takes at least 999
_VACUUM_AT_ONCE_PAGES = 64
_LATEST_MS = (1 << 63) - 1  # of SQLite
# ``occurred_at_ms`` is ``accepted_at_ms`` of ``Encoded``, as it was called before there were relayed events.
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


class SpoolFile:
    """For use by one thread at a time. All methods raise ``sqlite3.Error``; ids are those of rows, from 1.

    Reading goes on where the last ``read`` ended, or at what ``skip_to`` named.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._page_bytes = 0
        self._newer_than_ms = -1
        self._own = True
        self._last_id = 0
        self._read_id = 0
        self._settled: set[int] = set()
        self._control: set[int] = set()  # ids of control records, which are no events to those who count
        self.events = 0
        """Rows of the file that are not withdrawn, settled ones included."""
        self.withdrawn: Counter[str] = Counter()
        """Events by name that were found in an adopted file, and not taken because of an opt-out after them."""

    @classmethod
    def create(cls, path: Path) -> SpoolFile:
        """Make a new file. Raises ``OSError`` as well."""
        claim(path)
        connection = None
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            connection = connect(path, new=True)
            with connection:
                connection.execute(_TABLE)
            path.stat()  # before it was locked, another process may have adopted and deleted it
        except (sqlite3.Error, OSError):
            if connection is not None:
                connection.close()
            remove_file(path)
            disown(path)
            raise
        file = cls(path, connection)
        file.trim()
        return file

    @classmethod
    def adopt(cls, path: Path, *, opted_out_at_ms: int) -> SpoolFile | None:
        """Lock a file that a dead process left, to be read where it lies. None if it is in use, or nothing is left.

        A damaged one is set aside. Events of ``opted_out_at_ms`` and before are deleted, or passed over where the disk
        is too full for that.
        """
        if not claim(path):
            return None
        connection = None
        try:
            connection = connect(path, wait_ms=0)
            connection.execute("BEGIN IMMEDIATE")  # fails if the process lives
            connection.rollback()
            file = cls(path, connection)
            file._count(opted_out_at_ms)
        except sqlite3.Error as error:
            if connection is not None:
                connection.close()
            if is_corruption(error):
                set_aside(path)
            disown(path)
            return None
        return file

    def _count(self, opted_out_at_ms: int) -> None:
        self._own, self._newer_than_ms = False, min(opted_out_at_ms, _LATEST_MS)
        known = self._connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'event'").fetchone()
        if not known:  # the process died just after creating the file
            return
        counts = "SELECT event, occurred_at_ms <= ?, count(*), max(id) FROM event GROUP BY 1, 2"
        some_withdrawn = False
        for event, withdrawn, count, last_id in self._connection.execute(counts, (self._newer_than_ms,)).fetchall():
            some_withdrawn |= bool(withdrawn)
            if withdrawn:
                self.withdrawn[event] += count if event != STREAM_STATE else 0
            else:
                self.events += count
                self._last_id = max(self._last_id, last_id)
        control = "SELECT id FROM event WHERE event = ? AND occurred_at_ms > ?"
        self._control = {i for (i,) in self._connection.execute(control, (STREAM_STATE, self._newer_than_ms))}
        if some_withdrawn:
            with contextlib.suppress(sqlite3.OperationalError), self._connection:
                self._connection.execute("DELETE FROM event WHERE occurred_at_ms <= ?", (self._newer_than_ms,))

    @property
    def unread(self) -> bool:
        """True if ``read`` has more to return."""
        return self._read_id < self._last_id

    @property
    def free_bytes(self) -> int:
        """Bytes inside the file that deleted rows have left, to be used again."""
        (pages,) = self._connection.execute("PRAGMA freelist_count").fetchone()
        if not self._page_bytes:
            (self._page_bytes,) = self._connection.execute("PRAGMA page_size").fetchone()
        return int(pages) * self._page_bytes

    @property
    def log_bytes(self) -> int:
        """Size of the write-ahead log."""
        try:
            return self.path.with_name(f"{self.path.name}-wal").stat().st_size
        except OSError:
            return 0

    def add(self, events: Sequence[Encoded]) -> int:
        """Store events, all or none, and return the id of the first; the others follow it."""
        first = self._last_id + 1
        rows = [(i, e.event, e.event_id, e.accepted_at_ms, e.sequence, e.value) for i, e in enumerate(events, first)]
        with self._connection as connection:
            for start in range(0, len(rows), _INSERT_AT_ONCE_ROWS):
                portion = rows[start : start + _INSERT_AT_ONCE_ROWS]
                values = ", ".join(["(?, ?, ?, ?, ?, ?)"] * len(portion))
                connection.execute(
                    f"INSERT INTO event VALUES {values}",  # noqa: S608 - question marks
                    [value for row in portion for value in row],
                )
        self._last_id += len(events)
        self.events += len(events)
        self._control.update(i for i, encoded in enumerate(events, first) if encoded.is_control)
        return first

    def skip_to(self, row_id: int) -> None:
        """Regard the rows up to this one as read: their events are in memory."""
        self._read_id = max(self._read_id, row_id)

    def read(self, *, max_events: int, max_bytes: int) -> list[tuple[int, Encoded]]:
        """Return the next events with their ids, as they were stored; at least one, if there is one."""
        cursor = self._connection.execute(
            "SELECT id, event, event_id, occurred_at_ms, sequence, value FROM event"
            " WHERE id > ? AND occurred_at_ms > ? ORDER BY id LIMIT ?",
            (self._read_id, self._newer_than_ms, max_events),
        )
        found: list[tuple[int, Encoded]] = []
        held_bytes = 0
        try:
            for row_id, event, event_id, accepted_at_ms, sequence, value in cursor:
                encoded = Encoded(event, event_id, accepted_at_ms, sequence if self._own else -1, value)
                found.append((row_id, encoded))
                self._read_id = row_id
                held_bytes += encoded.held_bytes
                if held_bytes >= max_bytes:
                    return found
        finally:
            cursor.close()
        if len(found) < max_events:
            self._read_id = self._last_id
        return found

    def unread_by_name(self) -> Counter[str]:
        """Return the number of unread events of each name, without control records."""
        query = "SELECT event, count(*) FROM event WHERE id > ? AND occurred_at_ms > ? GROUP BY event"
        found = dict(self._connection.execute(query, (self._read_id, self._newer_than_ms)).fetchall())
        found.pop(STREAM_STATE, None)
        return Counter(found)

    def first_unread_sequence(self) -> int | None:
        """Return the lowest sequence of the unread events of this process; None if there are none."""
        query = "SELECT sequence FROM event WHERE id > ? ORDER BY id LIMIT 1"  # stored in the order of sequences
        found = self._connection.execute(query, (self._read_id,)).fetchone() if self._own else None
        return None if found is None else int(found[0])

    def settle(self, row_ids: Iterable[int]) -> None:
        """Count events as delivered or dropped; ``remove_settled`` removes them."""
        self._settled.update(row_ids)

    @property
    def all_settled(self) -> bool:
        """True if nothing is left that has to be sent."""
        return len(self._settled) >= self.events

    @property
    def unsettled(self) -> int:
        """Events that still have to be sent, without control records."""
        return self.events - len(self._settled) - len(self._control - self._settled)

    def remove_settled(self, *, log_max_bytes: int) -> None:
        """Remove settled events, in portions, so that the write-ahead log stays at about its limit."""
        settled = sorted(self._settled)
        for start in range(0, len(settled), _REMOVE_AT_ONCE_ROWS):
            portion = settled[start : start + _REMOVE_AT_ONCE_ROWS]
            with self._connection as connection:
                connection.executemany("DELETE FROM event WHERE id BETWEEN ? AND ?", _runs(portion))
            self._settled.difference_update(portion)
            self._control.difference_update(portion)
            self.events -= len(portion)
            self.trim(log_max_bytes)
        free_bytes = self.free_bytes
        while free_bytes > log_max_bytes:
            # Moves the last pages to the free places, so that the file becomes smaller.
            self._connection.execute(f"PRAGMA incremental_vacuum({_VACUUM_AT_ONCE_PAGES})").fetchall()
            self.trim(log_max_bytes)
            before, free_bytes = free_bytes, self.free_bytes
            if free_bytes >= before:  # a file of an earlier release cannot shrink
                return

    def trim(self, log_max_bytes: int = 0) -> None:
        """Move the write-ahead log into the file and empty it, if it is larger than this."""
        if self.log_bytes > log_max_bytes:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self, *, delete: bool = False) -> None:
        """Close the file; delete it if it is empty, or whatever is in it with ``delete``."""
        if delete or self.all_settled:
            remove_file(self.path)
        try:
            self._connection.close()
        finally:
            disown(self.path)

    def abandon(self) -> None:
        """Close the damaged file and set it aside."""
        self._connection.close()
        set_aside(self.path)
        disown(self.path)


def _runs(row_ids: Sequence[int]) -> list[tuple[int, int]]:
    """Return the first and last of each run of ids, which are sorted: a range is one statement."""
    runs: list[tuple[int, int]] = []
    for row_id in row_ids:
        if runs and runs[-1][1] == row_id - 1:
            runs[-1] = (runs[-1][0], row_id)
        else:
            runs.append((row_id, row_id))
    return runs
