"""Files in a spool folder."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
import uuid
from contextlib import closing
from pathlib import Path

from flowise_telemetry_schemas.envelope import STREAM_STATE

__all__ = [
    "claim",
    "connect",
    "delete_damaged",
    "delete_orphans",
    "delete_spool",
    "disown",
    "folder_bytes",
    "is_corruption",
    "orphans",
    "remove_file",
    "set_aside",
    "spool_files",
    "spool_name",
    "spooled_events",
]

logger = logging.getLogger("flowise_telemetry")

_PREFIX = "events-"
_SUFFIX = ".sqlite3"
_CORRUPT_SUFFIX = ".corrupt"
_CORRUPT_MAX_FILES = 3
_BUSY_MS = 1000
_CORRUPTION = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_open_here: dict[str, object] = {}
"""Files that this process, or the one it was forked from, has open; they are no orphans.

SQLite's locks do not protect them within one process, nor in the child of a fork, which inherits SQLite's belief that
it holds its parent's locks (sqlite.org/howtocorrupt.html, "Carrying an open database connection across a fork()").
"""


def claim(path: Path) -> bool:
    """Take a file for one user in this process; False if it has one already."""
    mine = object()
    return _open_here.setdefault(str(path), mine) is mine


def disown(path: Path) -> None:
    """Give a file back that was claimed."""
    _open_here.pop(str(path), None)


def spool_name() -> str:
    """Return a new file name; names sort by their time of creation."""
    return f"{_PREFIX}{time.time_ns() // 1_000_000:013d}-{uuid.uuid4().hex[:12]}{_SUFFIX}"


def orphans(folder: Path) -> list[Path]:
    """Return the files of other processes, oldest first. Those processes may still be alive: try the lock."""
    with contextlib.suppress(OSError):
        return [path for path in _files(folder) if str(path) not in _open_here]
    return []


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{_PREFIX}*{_SUFFIX}"))


def folder_bytes(folder: Path) -> int:
    """Return the size on disk of all spool files in the folder, with their write-ahead logs."""
    total = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(_PREFIX):
                with contextlib.suppress(OSError):
                    total += entry.stat(follow_symlinks=False).st_size
    return total


def connect(path: Path, *, wait_ms: int = _BUSY_MS, new: bool = False) -> sqlite3.Connection:
    """Open a spool file, locked exclusively from its first use until it is closed. Raises ``sqlite3.Error``."""
    # mode=rw, so that a file that was deleted meanwhile is not created again.
    # Any thread, because one after the other may do the sender's work.
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=wait_ms / 1000, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        if new:  # else it would write, which a full disk refuses
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")  # see SpoolFile.trim
        connection.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def remove_file(path: Path) -> None:
    """Delete a spool file and its journals."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        with contextlib.suppress(OSError):
            path.with_name(path.name + suffix).unlink(missing_ok=True)


def is_corruption(error: BaseException) -> bool:
    """Return True if SQLite reports that the file is damaged or no database."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(code, int) and code & 0xFF in _CORRUPTION


def set_aside(path: Path) -> None:
    """Rename a damaged file, so that it is not read again, and keep the last three."""
    logger.warning("telemetry: the spool file %s is damaged; renaming it to *%s", path, _CORRUPT_SUFFIX)
    with contextlib.suppress(OSError):
        path.rename(path.with_name(path.name + _CORRUPT_SUFFIX))
        remove_file(path)
        for old in sorted(path.parent.glob(f"{_PREFIX}*{_CORRUPT_SUFFIX}"))[:-_CORRUPT_MAX_FILES]:
            old.unlink(missing_ok=True)


def delete_damaged(folder: Path) -> None:
    """Delete the files that were set aside."""
    with contextlib.suppress(OSError):
        for path in folder.glob(f"{_PREFIX}*{_CORRUPT_SUFFIX}"):
            remove_file(path)


def spooled_events(folder: Path) -> int:
    """Return the number of events in files of ended processes; those of living ones are locked."""
    count = 0
    for path in orphans(folder):
        with contextlib.suppress(sqlite3.Error), closing(connect(path, wait_ms=0)) as connection:
            query = "SELECT count(*) FROM event WHERE event != ?"
            count += connection.execute(query, (STREAM_STATE,)).fetchone()[0]
    return count


def spool_files(folder: Path) -> list[Path]:
    """Return every spool file in the folder, damaged or not; none where there is no folder."""
    return [*_files(folder), *sorted(folder.glob(f"{_PREFIX}*{_CORRUPT_SUFFIX}"))]


def delete_spool(folder: Path) -> list[Path]:
    """Delete every spool file in the folder, damaged or not, and return their paths."""
    deleted = spool_files(folder)
    for path in deleted:
        remove_file(path)
    return deleted


def delete_orphans(folder: Path) -> None:
    """Delete the files of ended processes; those of living ones are locked and stay."""
    for path in orphans(folder):
        try:
            with closing(connect(path, wait_ms=0)) as connection:
                connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            if not is_corruption(error):
                continue
        remove_file(path)
    delete_damaged(folder)
