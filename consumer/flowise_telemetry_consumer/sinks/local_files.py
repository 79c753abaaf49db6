"""Local files as sinks: URLs, named locks, and the operating system's errors. Not for network file systems.

portalocker locks with flock(2): the operating system releases a lock however its holder ends.
"""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from flowise_telemetry_consumer.errors import SinkDeniedError, SinkError, SinkInUseError, SinkUnavailableError
from flowise_telemetry_schemas import ConfigurationError

if TYPE_CHECKING:
    from portalocker import TemporaryFileLock

__all__ = ["FileLocks", "file_identity", "file_of", "os_failure", "sync_path", "why_not_opened"]

_MAX_NAME_BYTES = 100
"""A longer name is hashed: file systems take 255 bytes, of which the sink's own name needs some."""

_REPLACED_SECONDS = 1.0
"""Bound on retrying when a lock's former holder removes its file while we lock it."""

_OUTAGES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_DENIALS = (errno.EACCES, errno.EPERM, errno.EROFS)


def file_of(url: str, scheme: str) -> Path:
    """Return the path in ``scheme:///relative`` or ``scheme:////absolute``: everything after the third slash, verbatim.

    Raises ``ConfigurationError`` that shows the two forms.
    """
    prefix = f"{scheme}:///"
    path = url.removeprefix(prefix)
    if not url.startswith(prefix) or not path or path.endswith("/"):
        raise ConfigurationError(f"a {scheme} sink is {prefix}relative/file or {prefix}/absolute/file")
    return Path(path)


class FileLocks:
    """Named exclusive locks, between processes and between objects: each a file beside ``path`` while it is held."""

    def __init__(self, path: Path, *, url: str) -> None:
        self._path = path
        self._url = url
        self._held: dict[str, TemporaryFileLock] = {}

    def take(self, name: str) -> None:
        """Acquire a lock, or do nothing if this object holds it. Raises ``SinkInUseError`` if another holds it."""
        from portalocker import AlreadyLocked, LockException, TemporaryFileLock  # only where there is a file to lock

        if name in self._held:
            return
        path = self._path.with_name(f"{self._path.name}.{_file_name(name)}.lock")
        # Fails at once if another holds it; the timeout is for a file that its former holder removes under us.
        lock = TemporaryFileLock(path, timeout=_REPLACED_SECONDS, check_interval=0.01, fail_when_locked=True)
        try:
            lock.acquire()
        except AlreadyLocked as error:
            raise SinkInUseError(f"{self._url}: another process has {name!r}: wait for it or stop it") from error
        except (LockException, OSError) as error:
            raise SinkError(f"{self._url}: the lock {path} cannot be acquired: {error.strerror}") from error
        self._held[name] = lock

    def release(self) -> None:
        """Release all locks and remove their files. May be called again."""
        for lock in self._held.values():
            lock.release()
        self._held = {}


def sync_path(path: Path) -> None:
    """Make a file, or the names in a folder, survive a crash of the machine."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_identity(file: Path | int) -> tuple[int, int] | None:
    """Return device and inode of a file, given by path or open descriptor; None if there is no file."""
    try:
        status = os.stat(file)  # noqa: PTH116 - a descriptor is no Path
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def os_failure(error: OSError, url: str) -> SinkError:
    """Return our error for one of the operating system: an outage if the disk is full or broken."""
    kind = SinkError
    if error.errno in _OUTAGES:
        kind = SinkUnavailableError
    elif error.errno in _DENIALS:
        kind = SinkDeniedError
    return kind(f"{url} cannot be used: {error.strerror}")


def why_not_opened(path: Path) -> str:
    """Return why a file could not be opened and how to mend it, as the end of a message."""
    folder = path.absolute().parent
    if not folder.is_dir():
        return f"make the folder {folder} first"
    if path.is_dir():
        return "it is a folder, name a file"
    if path.exists():
        return "this user may not use the file"
    return "there is no such file" + ("" if os.access(folder, os.W_OK) else ", and this user may not make one there")


def _file_name(name: str) -> str:
    quoted = quote(name, safe="")
    return quoted if len(quoted) <= _MAX_NAME_BYTES else hashlib.sha256(name.encode()).hexdigest()
