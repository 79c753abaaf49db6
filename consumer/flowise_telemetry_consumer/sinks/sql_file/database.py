"""One file of a database and the connection that writes to it."""

from __future__ import annotations

import contextlib
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from flowise_telemetry_consumer.errors import SinkError, SinkUnavailableError
from flowise_telemetry_consumer.sinks.local_files import file_identity

__all__ = ["Connection", "DatabaseFile", "exchange_names", "quoted"]


class Connection(Protocol):
    """The common part of the databases' connections."""

    def execute(self, statement: str, /) -> Any:
        """Run one statement."""

    def close(self) -> object:
        """Release the file."""


C = TypeVar("C", bound=Connection)


class DatabaseFile(ABC, Generic[C]):
    """One file and the connection that writes to it, opened when first needed and again after every failure.

    ``on_open`` is called with each new connection, to create the tables. ``errors`` is the database's error class.
    """

    def __init__(self, path: Path, *, url: str, errors: type[Exception], on_open: Callable[[C], None]) -> None:
        self._path = path
        self._url = url
        self._errors = errors
        self._on_open = on_open
        self._db: C | None = None
        self._identity: tuple[int, int] | None = None

    @property
    def is_open(self) -> bool:
        """Return True while there is a connection that writes."""
        return self._db is not None

    def connection(self) -> C:
        """Return the connection that writes."""
        if self._db is not None:
            self.require_same_file()
            return self._db
        db = self._connect()
        try:
            self._set_up(db)
            self._on_open(db)
            self._identity = file_identity(self._path)
        except BaseException:
            db.close()
            raise
        self._db = db
        return db

    @abstractmethod
    def reading(self) -> AbstractContextManager[C]:
        """Open a connection in a transaction, which sees the state of one moment. Never creates the file."""

    @abstractmethod
    def transaction(self, db: C) -> AbstractContextManager[None]:
        """Apply everything inside, or nothing."""

    def close(self) -> None:
        """Close the connection that writes."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def require_same_file(self) -> None:
        """Raise ``SinkUnavailableError`` if the file was removed or replaced: rows would be lost silently."""
        if file_identity(self._path) != self._identity:
            self.close()
            raise SinkUnavailableError(f"{self._url} was moved or removed while it was open; it will be created again")

    @contextlib.contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Raise ``SinkError`` or ``SinkUnavailableError`` for the database's errors inside."""
        try:
            yield
        except self._errors as error:
            # A new connection is cheap, and the state of a failed one depends on the failure.
            self.close()
            raise self._translate(error) from error

    @contextlib.contextmanager
    def explain_errors(self) -> Iterator[None]:
        """Raise as ``translate_errors``, inside it and inside a transaction, which the connection has to roll back."""
        try:
            yield
        except self._errors as error:
            raise self._translate(error) from error

    @abstractmethod
    def _connect(self) -> C:
        """Open a connection that can write; creates the file."""

    def _set_up(self, db: C) -> None:
        """Configure a new connection before its tables are created."""

    @abstractmethod
    def _translate(self, error: Exception) -> SinkError:
        """Return our error for one of the database."""


def exchange_names(db: Connection, one: str, other: str) -> None:
    """Exchange the names of two tables, inside a transaction."""
    between = f"{other}_{secrets.token_hex(4)}"
    for old, new in ((one, between), (other, one), (between, other)):
        db.execute(f"ALTER TABLE {quoted(old)} RENAME TO {quoted(new)}")


def quoted(name: str) -> str:
    """Return an identifier, quoted for a statement."""
    return '"' + name.replace('"', '""') + '"'
