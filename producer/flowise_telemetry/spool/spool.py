"""Events on disk until Kafka has acknowledged them: one SQLite file per sending process, in one folder for all.

A process holds SQLite's exclusive lock on its file as long as it lives. So a file that can be locked was left by a dead
process, and the first process that locks it adopts it: reads its events where they lie, and deletes it once they are
delivered. WAL with ``synchronous=NORMAL``: events survive a crash of the app; a crash of the machine can lose the last
ones (sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from flowise_telemetry.encoding.encoder import Encoded
from flowise_telemetry.spool.files import (
    delete_damaged,
    delete_orphans,
    folder_bytes,
    is_corruption,
    orphans,
    spool_name,
)
from flowise_telemetry.spool.spool_file import SpoolFile

__all__ = ["Spool", "SpoolError", "SpoolFullError"]

_ROW_BYTES = 150  # of a row without its value
_PAGE_BYTES = 4_096
_LOG_MAX_BYTES = 1_048_576
_FILE_ROWS = 1 << 40  # ``Encoded.row`` is the number of the file times this, plus the id in it


class SpoolError(Exception):
    """The spool failed: disk full, not writable or damaged. What was not stored is still in memory."""


class SpoolFullError(SpoolError):
    """The folder is at its limit of bytes. What it holds can be read and removed as always."""


class Spool:
    """The files of this process: its own, and adopted ones. For use by one thread at a time.

    All methods raise ``SpoolError``. The folder is held to ``max_bytes``, write-ahead logs and other processes' files
    included. What occurred at ``opted_out_at_ms`` or before is never adopted: it was accepted before an opt-out.
    """

    def __init__(self, folder: Path, *, max_bytes: int, opted_out_at_ms: int = 0) -> None:
        self._folder = folder
        self._opted_out_at_ms = opted_out_at_ms
        self._max_bytes = max_bytes
        self._log_max_bytes = min(_LOG_MAX_BYTES, max_bytes // 16)
        self._portion_bytes = min(_LOG_MAX_BYTES // 2, max_bytes // 64)
        self._own = 0  # number of the own file, 0 if there is none yet
        self._files: dict[int, SpoolFile] = {}  # by number, the own one and the adopted ones
        self._numbers = 0
        self.events = 0
        """Events in the files that still have to be sent. Any thread may read it."""

    def another(self) -> Spool:
        """Return a spool with a file of its own in the same folder, for another thread."""
        return Spool(self._folder, max_bytes=self._max_bytes)

    @contextmanager
    def _guarded(self, number: int) -> Iterator[SpoolFile]:
        """Hand out a file; one that turns out damaged is set aside."""
        try:
            yield self._files[number]
        except (sqlite3.Error, OSError) as error:
            if is_corruption(error):
                self._let_go(number, SpoolFile.abandon)
            raise SpoolError(f"{self._folder}: {error}") from error
        finally:
            self._count()

    def _let_go(self, number: int, how: Callable[[SpoolFile], None]) -> None:
        file = self._files.pop(number)
        if number == self._own:
            self._own = 0
        with contextlib.suppress(sqlite3.Error, OSError):
            how(file)

    def _count(self) -> None:
        self.events = sum([file.unsettled for file in self._files.values()])

    def _keep(self, file: SpoolFile) -> int:
        self._numbers += 1
        self._files[self._numbers] = file
        self._count()
        return self._numbers

    # -- storing --------------------------------------------------------------------------------------------------

    def add(self, events: Iterable[Encoded]) -> None:
        """Store events and set the ``row`` of each; if it fails, those without a row are not stored."""
        for portion, portion_bytes in self._portions(events):
            self._make_room(portion_bytes)
            with self._guarded(self._own) as file:
                first = file.add(portion)
                for row_id, encoded in enumerate(portion, first):
                    encoded.row = self._own * _FILE_ROWS + row_id
                file.trim(self._log_max_bytes)

    def _portions(self, events: Iterable[Encoded]) -> Iterator[tuple[list[Encoded], int]]:
        portion: list[Encoded] = []
        portion_bytes = 0
        for encoded in events:
            size = len(encoded.value) + _ROW_BYTES
            size += _PAGE_BYTES if size > _PAGE_BYTES // 2 else 0  # it has pages of its own
            if portion and portion_bytes + size > self._portion_bytes:
                yield portion, portion_bytes
                portion, portion_bytes = [], 0
            portion.append(encoded)
            portion_bytes += size
        if portion:
            yield portion, portion_bytes

    def _make_room(self, size_bytes: int) -> None:
        """Open the own file. Raises ``SpoolFullError`` if ``size_bytes`` more do not fit into the folder."""
        if not self._fits(size_bytes):
            if self._own:
                with self._guarded(self._own) as file:
                    file.trim()
            delete_damaged(self._folder)
            if not self._fits(size_bytes):
                raise SpoolFullError(f"{self._folder} is at its limit of {self._max_bytes} bytes")
        if not self._own:
            self._own = self._keep(self._made())

    def _fits(self, size_bytes: int) -> bool:
        # What is stored is in the log first, then in both. The last term is for the log of those that remove.
        needed = folder_bytes(self._folder) + 2 * (size_bytes + _PAGE_BYTES) + self._log_max_bytes
        if not self._own:
            return needed <= self._max_bytes
        with self._guarded(self._own) as file:
            needed += file.log_bytes
            return needed <= self._max_bytes or needed - file.free_bytes <= self._max_bytes

    def _made(self) -> SpoolFile:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Before we have locked the new file, another process may adopt it as an orphan: then try another name.
            with contextlib.suppress(sqlite3.Error, FileNotFoundError):
                return SpoolFile.create(self._folder / spool_name())
            return SpoolFile.create(self._folder / spool_name())
        except (sqlite3.Error, OSError) as error:
            raise SpoolError(f"{self._folder}: {error}") from error

    def skip_to(self, row: int) -> None:
        """Regard the own file's rows up to this one as read: their events are in memory."""
        if row and row // _FILE_ROWS == self._own:
            self._files[self._own].skip_to(row % _FILE_ROWS)

    # -- reading --------------------------------------------------------------------------------------------------

    @property
    def unread(self) -> bool:
        """True if ``read`` has more to return."""
        return any(file.unread for file in self._files.values())

    def read(self, *, max_events: int, max_bytes: int) -> list[Encoded]:
        """Return the next events of one file, in the order in which they were stored; adopted files come first."""
        for number in sorted(self._files, key=lambda number: (number == self._own, number)):
            if not self._files[number].unread:
                continue
            with self._guarded(number) as file:
                found = file.read(max_events=max_events, max_bytes=max_bytes)
            for row_id, encoded in found:
                encoded.row = number * _FILE_ROWS + row_id
            if found:
                return [encoded for _, encoded in found]
        return []

    def lowest_sequence(self) -> int | None:
        """Return the lowest sequence of this process's own unread events; None if there are none."""
        if not self._own:
            return None
        with self._guarded(self._own) as file:
            return file.first_unread_sequence()

    def unread_by_name(self) -> Counter[str]:
        """Return the number of unread events of each name."""
        found: Counter[str] = Counter()
        for number in list(self._files):
            with contextlib.suppress(SpoolError), self._guarded(number) as file:
                found += file.unread_by_name()
        return found

    # -- removing -------------------------------------------------------------------------------------------------

    def remove(self, rows: Iterable[int]) -> None:
        """Remove events that are delivered or dropped. An adopted file whose last one they are is deleted.

        Those that could not be removed are tried again by the next call, also one without rows.
        """
        by_file: dict[int, list[int]] = defaultdict(list)
        for row in rows:
            by_file[row // _FILE_ROWS].append(row % _FILE_ROWS)
        failed: SpoolError | None = None
        for number, file in list(self._files.items()):
            file.settle(by_file[number])
            if number == self._own or not file.all_settled:
                try:
                    with self._guarded(number):
                        file.remove_settled(log_max_bytes=self._log_max_bytes)
                    continue
                except SpoolError as error:
                    if not file.all_settled or number not in self._files:
                        failed = error
                        continue
            # On a full disk, where no row can be deleted, a file can.
            self._let_go(number, lambda file: file.close(delete=True))
            self._count()
        if failed is not None:
            raise failed

    # -- files of dead processes ----------------------------------------------------------------------------------

    def adopt(self) -> SpoolFile | None:
        """Adopt the oldest file of a dead process that has events, to be read next; None if there is none.

        The caller reads ``events`` and ``withdrawn`` of it.
        """
        for path in orphans(self._folder):
            file = SpoolFile.adopt(path, opted_out_at_ms=self._opted_out_at_ms)
            if file is None:
                continue
            if file.events:
                self._keep(file)
                return file
            with contextlib.suppress(sqlite3.Error, OSError):
                file.close(delete=True)
            if file.withdrawn:
                return file
        return None

    # -- the end --------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the files, and delete those that are empty. ``events`` stays what it was."""
        for number in list(self._files):
            self._let_go(number, SpoolFile.close)

    def delete(self) -> None:
        """Delete the files with all their events, and those that ended processes left."""
        for number in list(self._files):
            self._let_go(number, lambda file: file.close(delete=True))
        self._count()
        delete_orphans(self._folder)
