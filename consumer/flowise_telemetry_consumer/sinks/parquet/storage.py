"""What the data set needs of the place it is in: a folder or object storage."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import polars as pl

__all__ = ["Document", "Replacement", "Storage"]


@dataclass(frozen=True, slots=True)
class Document:
    """A small file and which version of it this is."""

    data: bytes
    version: str


@dataclass(frozen=True, slots=True)
class Replacement:
    """A small file to be written, and what was read of it before; None where it was not there."""

    path: str
    data: bytes
    before: Document | None


class Storage(Protocol):
    """Files by their path from the root of the data set, with ``/`` between its parts."""

    @property
    def url(self) -> str:
        """The address of the sink; it holds no secret."""

    def open(self) -> bool:
        """Makes the root where it is missing; True where it is another one than before."""

    def list_files(self, folder: str = "") -> list[str]:
        """The paths of all files below a folder."""

    def put(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Writes files, each all or nothing, and waits until they are safe. A file of the same path is replaced."""

    def read(self, paths: Sequence[str]) -> list[Document | None]:
        """Small files; None for one that is not there."""

    def replace(self, files: Sequence[Replacement]) -> list[bool]:
        """Writes small files, each where it still is what was read; False for one that is another by now."""

    def delete(self, paths: Sequence[str]) -> None:
        """Removes files; one that is not there is fine."""

    def scan(self, paths: Sequence[str]) -> pl.LazyFrame:
        """Data files as one lazy frame. Raises ``FileNotFoundError`` when it is collected and one is gone."""

    def publishing(self) -> AbstractContextManager[None]:
        """While data files and progress are written: many may, but not while someone claims."""

    def claiming(self) -> AbstractContextManager[None]:
        """While someone claims, or takes the turn to write."""

    def reading(self) -> AbstractContextManager[None]:
        """While data files are read: many may, but not while files are exchanged."""

    def exchanging(self) -> AbstractContextManager[None]:
        """While compacted files take the place of others."""

    def lock(self, name: str) -> None:
        """Takes a named lock until ``release``. Raises ``SinkInUseError``."""

    def release(self) -> None:
        """Lets go of the named locks."""

    def locked(self, name: str) -> AbstractContextManager[None]:
        """A named lock for as long as this lasts. Raises ``SinkInUseError``."""

    def translate_errors(self) -> AbstractContextManager[None]:
        """Raises ``SinkError`` or ``SinkUnavailableError`` for what the place raises inside."""
