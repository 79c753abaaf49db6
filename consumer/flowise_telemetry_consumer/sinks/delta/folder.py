"""A lake in a local folder."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.sinks.delta.failures import failure_of, is_of_deltalake
from flowise_telemetry_consumer.sinks.local_files import FileLocks, file_identity, os_failure, sync_path

__all__ = ["Folder"]

_OWN = "_flowise_telemetry"
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.EXDEV)


class Folder:
    """``Store`` in a folder: put-if-absent is link(2), and everything is brought to the disk. Not for network storage.

    Beside the tables, ``_flowise_telemetry`` holds locks and commits that are being written.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._own = root / _OWN
        self._identity: tuple[int, int] | None = None
        self._locks = FileLocks(self._own / "lock", url=self.url)

    @property
    def url(self) -> str:
        """The address; a folder has no password."""
        return f"delta:///{self._root}"

    @property
    def options(self) -> Mapping[str, str]:
        """None."""
        return {}

    def another(self) -> Folder:
        """Return the same folder with locks of its own."""
        return Folder(self._root)

    def open(self) -> bool:
        """Create the folder; return True where it is another one than before."""
        if self._identity is not None and self._identity == file_identity(self._root):
            return False
        is_anew = self._identity is not None
        self._root.mkdir(exist_ok=True)
        self._own.mkdir(exist_ok=True)
        self._identity = file_identity(self._root)
        return is_anew

    def require_root(self) -> None:
        """Raise ``FileNotFoundError`` where there is no folder."""
        if not self._root.is_dir():
            number = errno.ENOTDIR if self._root.exists() else errno.ENOENT
            raise OSError(number, os.strerror(number), str(self._root))

    def location(self, table: str) -> str:
        """Return the folder of a table."""
        return str(self._root.absolute() / table)

    def tables(self) -> Sequence[str]:
        """Return the names of the tables: folders that have a log."""
        return [path.parent.name for path in self._root.glob("*/_delta_log")]

    def data_files(self, table: str) -> set[str]:
        """Return the paths, from a table's root, of the files that are there."""
        root = self._root / table
        return {path.relative_to(root).as_posix() for path in root.rglob("*.parquet")}

    def read(self, path: str) -> bytes | None:
        """Return a file's bytes; None where there is none."""
        try:
            return (self._root / path).read_bytes()
        except FileNotFoundError:
            return None

    def fetch(self, paths: Sequence[str]) -> list[bytes]:
        """Return the bytes of some files."""
        return [(self._root / path).read_bytes() for path in paths]

    def exists(self, path: str) -> bool:
        """Tell if there is such a file."""
        return (self._root / path).exists()

    def put(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Write files. Nobody looks at one before a commit names it, so that a torn one is never read."""
        folders: set[Path] = set()
        for path, data in files:
            target = self._root / path
            folders |= self._make_folder(target.parent)
            _write(target, data)
        # The names, too: without them a power cut leaves files that nobody finds.
        self._sync(folders)

    def create(self, path: str, data: bytes) -> bool:
        """Write a file aside and link it: the link fails where the name is taken."""
        target = self._root / path
        folders = self._make_folder(target.parent)
        self._own.mkdir(exist_ok=True)
        aside = self._own / f"{os.getpid()}-{secrets.token_hex(8)}.tmp"
        try:
            _write(aside, data)
            os.link(aside, target)
        except FileExistsError:
            return False
        finally:
            aside.unlink(missing_ok=True)
        self._sync(folders)
        return True

    def copy(self, files: Sequence[tuple[str, str]]) -> None:
        """Link files a second time; copy them where the file system has no links."""
        folders: set[Path] = set()
        for source, target in files:
            old, new = self._root / source, self._root / target
            folders |= self._make_folder(new.parent)
            try:
                os.link(old, new)
            except FileExistsError:
                continue
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                shutil.copyfile(old, new)
                sync_path(new)
        self._sync(folders)

    def delete(self, paths: Sequence[str]) -> None:
        """Remove files."""
        for path in paths:
            (self._root / path).unlink(missing_ok=True)

    def sync(self, folder: str) -> None:
        """Bring the files of a folder to the disk that were written in the last minutes, and their names."""
        place = self._root / folder
        newest = max((file.stat().st_mtime for file in place.iterdir()), default=0.0)
        for file in place.iterdir():
            if file.is_file() and file.stat().st_mtime > newest - 60:
                sync_path(file)
        sync_path(place)

    def scan(self, paths: Sequence[str]) -> pl.LazyFrame:
        """Return data files as one lazy frame."""
        files = [self._root / path for path in paths]
        return pl.scan_parquet(files, glob=False, hive_partitioning=False, extra_columns="ignore")

    def lock(self, name: str) -> None:
        """Acquire a lock of the operating system, which ends with the process."""
        self._own.mkdir(parents=True, exist_ok=True)
        self._locks.take(name)

    def renew_locks(self) -> None:
        """Do nothing: these last as long as the process."""

    def release(self) -> None:
        """Release the named locks."""
        self._locks.release()

    @contextlib.contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Tell what the operating system refused."""
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
        except pl.exceptions.PolarsError as error:
            # Its text can hold values.
            raise SinkError(
                f"{self.url} holds a file that cannot be read as its event: remove what is not ours"
            ) from error
        except OSError as error:
            raise (os_failure(error, self.url) if error.strerror else failure_of(error, self.url)) from error
        except Exception as error:
            if not is_of_deltalake(error):
                raise
            raise failure_of(error, self.url) from error

    def _make_folder(self, folder: Path) -> set[Path]:
        """Create a folder; return those whose entries changed."""
        if folder.is_dir():
            return {folder}
        made = {folder}
        above = folder.parent
        while above != self._root.parent:
            made.add(above)
            above = above.parent
        folder.mkdir(parents=True, exist_ok=True)
        return made

    def _sync(self, folders: set[Path]) -> None:
        for folder in sorted(folders, reverse=True):
            sync_path(folder)


def _write(path: Path, data: bytes) -> None:
    with path.open("wb", buffering=0) as file:
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(file.fileno())
