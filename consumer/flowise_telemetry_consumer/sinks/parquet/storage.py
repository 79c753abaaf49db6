"""The seam between the data set and its storage: a folder or object storage."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

import polars as pl

__all__ = ["Document", "Replacement", "Storage", "collecting"]

_OBJECT_GONE = re.compile(r"^object-store error: Object at location .* not found")


@dataclass(frozen=True, slots=True)
class Document:
    """A small file and its version."""

    data: bytes
    version: str


@dataclass(frozen=True, slots=True)
class Replacement:
    """A small file to write, and what was read before; None where it did not exist."""

    path: str
    data: bytes
    before: Document | None


class Storage(Protocol):
    """Files by their path from the root of the data set, with ``/`` between its parts."""

    @property
    def url(self) -> str:
        """The address of the sink; it holds no secret."""

    def open(self) -> bool:
        """Create a missing root; return True where it is another one than before."""

    def list_files(self, folder: str = "") -> list[str]:
        """Return the paths of all files below a folder."""

    def put(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Write files, each all or nothing, and wait until they are durable. Replaces a file of the same path."""

    def read(self, paths: Sequence[str]) -> list[Document | None]:
        """Return small files; None for one that does not exist."""

    def replace(self, files: Sequence[Replacement]) -> list[bool]:
        """Write small files, each where it still is what was read; return False for one that is another by now."""

    def delete(self, paths: Sequence[str]) -> None:
        """Delete files; a missing one is fine."""

    def scan(self, paths: Sequence[str]) -> pl.LazyFrame:
        """Return data files as one lazy frame. Collect it inside ``collecting``."""

    def publishing(self) -> AbstractContextManager[None]:
        """Context for writing data files and progress: shared, but not with a claim."""

    def claiming(self) -> AbstractContextManager[None]:
        """Context for claiming, or for taking the writer's turn."""

    def reading(self) -> AbstractContextManager[None]:
        """Context for reading data files: shared, but not with an exchange of files."""

    def exchanging(self) -> AbstractContextManager[None]:
        """Context for replacing files by compacted ones."""

    def lock(self, name: str) -> None:
        """Acquire a named lock until ``release``. Raises ``SinkInUseError``."""

    def release(self) -> None:
        """Release the named locks."""

    def locked(self, name: str) -> AbstractContextManager[None]:
        """Context that holds a named lock. Raises ``SinkInUseError``."""

    def translate_errors(self) -> AbstractContextManager[None]:
        """Raise ``SinkError`` or ``SinkUnavailableError`` for what the storage raises inside."""


@contextmanager
def collecting() -> Iterator[None]:
    """Context for collecting a ``scan``. Raises ``FileNotFoundError`` where a file is gone.

    polars before 2.0 raises a plain ``OSError`` for an object, which only its text tells apart.
    """
    try:
        yield
    except OSError as error:
        if type(error) is OSError and _OBJECT_GONE.match(str(error)):
            raise FileNotFoundError(str(error)) from error
        raise
