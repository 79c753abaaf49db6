"""The seam between the tables and the place that their files are in: a folder or object storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import polars as pl

__all__ = ["Store"]


class Store(Protocol):
    """Files by their path from the root of the lake, with ``/`` between its parts."""

    @property
    def url(self) -> str:
        """The address of the sink; it holds no secret."""

    @property
    def options(self) -> Mapping[str, str]:
        """Storage options of the ``deltalake`` package."""

    def another(self) -> Store:
        """Return the same place with locks of its own."""

    def open(self) -> bool:
        """Create the root where it is missing; return True where it is another one than before."""

    def require_root(self) -> None:
        """Raise ``FileNotFoundError`` where there is no root; create nothing."""

    def location(self, table: str) -> str:
        """Return the URI of a table, as ``deltalake`` takes it."""

    def tables(self) -> Sequence[str]:
        """Return the names of the tables that there are, in any order."""

    def data_files(self, table: str) -> set[str]:
        """Return the paths, from a table's root, of the data files that are there, named by its log or not."""

    def read(self, path: str) -> bytes | None:
        """Return a file's bytes; None where there is none."""

    def fetch(self, paths: Sequence[str]) -> list[bytes]:
        """Return the bytes of some files. Raises ``FileNotFoundError`` where one is gone."""

    def exists(self, path: str) -> bool:
        """Tell if there is such a file."""

    def put(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Write files of new names; return once they survive a crash of the machine."""

    def create(self, path: str, data: bytes) -> bool:
        """Write a file whole, or return False where there is one of that name; it survives a crash of the machine."""

    def copy(self, files: Sequence[tuple[str, str]]) -> None:
        """Give files (source, target) a second name or a copy that outlives the source."""

    def delete(self, paths: Sequence[str]) -> None:
        """Remove files; one that is not there is fine."""

    def sync(self, folder: str) -> None:
        """Bring what another library wrote into a folder of a table just now to the disk."""

    def scan(self, paths: Sequence[str]) -> pl.LazyFrame:
        """Return data files as one lazy frame. Raises ``FileNotFoundError`` when it is collected and one is gone."""

    def lock(self, name: str) -> None:
        """Acquire a named lock until ``release``. Raises ``SinkInUseError``."""

    def renew_locks(self) -> None:
        """Renew locks that expire. Raises ``SinkInUseError`` where one has expired and another process has it."""

    def release(self) -> None:
        """Release the named locks."""

    def translate_errors(self) -> AbstractContextManager[None]:
        """Raise ``SinkError`` or ``SinkUnavailableError`` for what the place or a library raises inside."""
