"""Locks for sinks that are files: one process at a time, let go of by the operating system however that one ends."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from urllib.parse import quote

from flowise_telemetry_consumer.errors import SinkError, SinkInUseError

__all__ = ["FileLocks"]

_MAX_NAME_BYTES = 100
"""A longer name is hashed: file systems take 255 bytes, of which the sink's own name needs some."""


class FileLocks:
    """Named locks: each a file beside ``path`` that is there while the lock is held. Not for network file systems."""

    def __init__(self, path: Path, *, url: str) -> None:
        self._path = path
        self._url = url
        self._held: dict[str, tuple[int, Path]] = {}

    def take(self, name: str) -> None:
        """Takes a lock; nothing happens where this object has it. Raises ``SinkInUseError`` where another has it."""
        if name in self._held:
            return
        path = self._path.with_name(f"{self._path.name}.{_file_name(name)}.lock")
        try:
            self._held[name] = (_locked(path), path)
        except BlockingIOError as error:
            raise SinkInUseError(f"{self._url}: another process has {name!r}: wait for it or stop it") from error
        except OSError as error:
            raise SinkError(f"{self._url}: the lock {path} cannot be made: {error.strerror}") from error

    def release(self) -> None:
        """Lets go of all. May be called again."""
        for descriptor, path in self._held.values():
            # While it is ours: afterwards it may be the next one's.
            with contextlib.suppress(OSError):
                path.unlink()
            os.close(descriptor)
        self._held = {}


def _locked(path: Path) -> int:
    import fcntl  # only where there is a file to lock: Windows has no such module

    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Who had it may have removed the file between our opening and our locking it.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _file_name(name: str) -> str:
    quoted = quote(name, safe="")
    return quoted if len(quoted) <= _MAX_NAME_BYTES else hashlib.sha256(name.encode()).hexdigest()
