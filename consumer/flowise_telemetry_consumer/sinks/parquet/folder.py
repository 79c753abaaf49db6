"""A data set in a local folder."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from flowise_telemetry_consumer.errors import SinkError, SinkUnavailableError
from flowise_telemetry_consumer.sinks.local_files import FileLocks, file_identity, os_failure
from flowise_telemetry_consumer.sinks.parquet.storage import Document, Replacement

__all__ = ["LOCK_TIMEOUT_SECONDS", "Folder"]

LOCK_TIMEOUT_SECONDS = 30.0
"""Time that a claim waits for writers, and a compaction for readers, before ``SinkUnavailableError``."""

_LOCK_RETRY_SECONDS = 0.01
_OWN = "_flowise_telemetry"


class Folder:
    """``Storage`` in a folder. A file is written aside, synced and renamed. Not for network file systems.

    Beside the data, ``_flowise_telemetry`` holds progress, locks and files being written.
    """

    def __init__(self, root: Path, *, lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS) -> None:
        self._root = root
        self._own = root / _OWN
        self._aside = self._own / "aside"
        self._lock_timeout_seconds = lock_timeout_seconds
        self._identity: tuple[int, int] | None = None
        self._locks = FileLocks(self._own / "lock", url=self.url)

    @property
    def url(self) -> str:
        """The address; a folder has no password."""
        return f"parquet:///{self._root}"

    def open(self) -> bool:
        """Create the folder; return True where it is another one than before."""
        if self._identity is not None and self._identity == file_identity(self._root):
            return False
        is_another = self._identity is not None
        self._root.mkdir(exist_ok=True)
        self._aside.mkdir(parents=True, exist_ok=True)
        self._identity = file_identity(self._root)
        with contextlib.suppress(SinkUnavailableError), self._flock("publish", exclusive=True, timeout_seconds=0.0):
            # Nobody is writing: these files were left by a writer that was killed.
            for file in self._aside.iterdir():
                file.unlink(missing_ok=True)
        return is_another

    def list_files(self, folder: str = "") -> list[str]:
        """Return the paths of all files below a folder; of the root, without those in ``_flowise_telemetry``."""
        if not self._root.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._root))
        found: list[str] = []
        for place, folders, names in os.walk(self._root / folder):
            if not folder:
                folders[:] = [name for name in folders if name != _OWN]
            # Once per folder: there may be ten thousand files.
            within = Path(place).relative_to(self._root)
            prefix = "" if within == Path() else f"{within.as_posix()}/"
            found.extend(f"{prefix}{name}" for name in names)
        return found

    def put(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Write files, each all or nothing."""
        folders = set()
        for path, data in files:
            target = self._root / path
            aside = self._aside / f"{os.getpid()}-{hashlib.blake2b(path.encode(), digest_size=8).hexdigest()}"
            with aside.open("wb", buffering=0) as file:
                rest = memoryview(data)
                while rest:
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
            if not target.parent.is_dir():
                target.parent.mkdir(parents=True, exist_ok=True)
                folders |= {target.parent.parent, self._root}
            aside.replace(target)
            folders.add(target.parent)
        # Directories as well: without their entries a power cut leaves files that nobody finds.
        for folder in sorted(folders, reverse=True):
            _sync_folder(folder)

    def read(self, paths: Sequence[str]) -> list[Document | None]:
        """Return small files; None for one that does not exist."""
        documents: list[Document | None] = []
        for path in paths:
            try:
                data = (self._root / path).read_bytes()
            except FileNotFoundError:
                documents.append(None)
            else:
                documents.append(Document(data, version=""))
        return documents

    def replace(self, files: Sequence[Replacement]) -> list[bool]:
        """Write small files. Locks have kept others from them since they were read."""
        self.put([(file.path, file.data) for file in files])
        return [True] * len(files)

    def delete(self, paths: Sequence[str]) -> None:
        """Delete files."""
        for path in paths:
            (self._root / path).unlink(missing_ok=True)

    def scan(self, paths: Sequence[str]) -> pl.LazyFrame:
        """Return data files as one lazy frame."""
        files = [self._root / path for path in paths]
        return pl.scan_parquet(files, glob=False, hive_partitioning=False, extra_columns="ignore")

    def publishing(self) -> contextlib.AbstractContextManager[None]:
        """Share the folder with other writers."""
        return self._publish(exclusive=False)

    def claiming(self) -> contextlib.AbstractContextManager[None]:
        """Wait until nobody writes."""
        return self._publish(exclusive=True)

    def reading(self) -> contextlib.AbstractContextManager[None]:
        """Share the folder with other readers; a folder that this user may only read is read without a lock."""
        if not os.access(self._own, os.W_OK):
            return contextlib.nullcontext()
        return self._flock("exchange", exclusive=False)

    def exchanging(self) -> contextlib.AbstractContextManager[None]:
        """Wait until no sink reads."""
        return self._flock("exchange", exclusive=True)

    def lock(self, name: str) -> None:
        """Acquire a lock of the operating system, which ends with the process."""
        self._own.mkdir(parents=True, exist_ok=True)
        self._locks.take(name)

    def release(self) -> None:
        """Release the named locks."""
        self._locks.release()

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Hold a named lock inside the context."""
        locks = FileLocks(self._own / "lock", url=self.url)
        locks.take(name)
        try:
            yield
        finally:
            locks.release()

    @contextlib.contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Translate errors of the operating system and of polars."""
        try:
            yield
        except FileNotFoundError as error:
            folder = self._root.absolute().parent
            mend = "there is no such folder" if folder.is_dir() else f"make the folder {folder} first"
            raise SinkError(f"{self.url} cannot be opened: {mend}") from error
        except (FileExistsError, NotADirectoryError) as error:
            raise SinkError(f"{self.url} cannot be opened: it is a file, name a folder") from error
        except PermissionError as error:
            raise SinkError(f"{self.url} may not be used by this user: give it the folder and all in it") from error
        except OSError as error:
            raise os_failure(error, self.url) from error
        except pl.exceptions.PolarsError as error:
            # Its text can quote values.
            raise SinkError(
                f"{self.url} holds a file that cannot be read as its event: remove what is not ours"
            ) from error

    @contextlib.contextmanager
    def _publish(self, *, exclusive: bool) -> Iterator[None]:
        with contextlib.ExitStack() as held:
            # Whoever waits for the writers keeps new ones from starting: many writers would never all pause at once.
            with self._flock("gate", exclusive=True):
                held.enter_context(self._flock("publish", exclusive=exclusive))
            yield

    @contextlib.contextmanager
    def _flock(self, name: str, *, exclusive: bool, timeout_seconds: float | None = None) -> Iterator[None]:
        from portalocker import AlreadyLocked, Lock, LockException, LockFlags  # only where there is a file to lock

        lock = Lock(
            self._own / f"{name}.lock",
            "ab",
            timeout=self._lock_timeout_seconds if timeout_seconds is None else timeout_seconds,
            check_interval=_LOCK_RETRY_SECONDS,
            flags=(LockFlags.EXCLUSIVE if exclusive else LockFlags.SHARED) | LockFlags.NON_BLOCKING,
        )
        try:
            lock.acquire()
        except AlreadyLocked as error:
            busy = "read" if name == "exchange" else "written"
            raise SinkUnavailableError(
                f"{self.url} has been {busy} by others for {self._lock_timeout_seconds:g} s"
            ) from error
        except LockException as error:
            raise SinkError(f"{self.url} cannot be locked: {error.strerror}") from error
        try:
            yield
        finally:
            lock.release()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
