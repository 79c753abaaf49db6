"""What databases in one file have in common: which file it is, its connection, and why it cannot be opened."""

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
    """What the connections of all of them can do."""

    def execute(self, statement: str, /) -> Any:
        """Runs one statement."""

    def close(self) -> object:
        """Lets go of the file."""


C = TypeVar("C", bound=Connection)


class DatabaseFile(ABC, Generic[C]):
    """One file and the connection that writes to it, made when it is first needed and after every failure.

    ``on_open`` is called with each new connection, to make the tables. ``errors`` is what the database raises.
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
        """Whether there is a connection that writes."""
        return self._db is not None

    def connection(self) -> C:
        """The connection that writes."""
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
        """A connection in a transaction of its own: the state of one moment. Does not make the file."""

    @abstractmethod
    def transaction(self, db: C) -> AbstractContextManager[None]:
        """All of what is inside, or nothing."""

    def close(self) -> None:
        """Closes the connection that writes."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def require_same_file(self) -> None:
        """Raises ``SinkUnavailableError`` where the file was removed: databases write on to it as if nothing were."""
        if file_identity(self._path) != self._identity:
            self.close()
            raise SinkUnavailableError(f"{self._url} was moved or removed while it was open; it is made anew")

    @contextlib.contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Raises ``SinkError`` or ``SinkUnavailableError`` for what the database raises inside."""
        try:
            yield
        except self._errors as error:
            # A new connection is cheap; what state a failed one is in depends on the failure.
            self.close()
            raise self._told(error) from error

    @abstractmethod
    def _connect(self) -> C:
        """A connection that can write; makes the file."""

    def _set_up(self, db: C) -> None:
        """What a new connection that writes needs before its tables are made."""

    @abstractmethod
    def _told(self, error: Exception) -> SinkError:
        """The database's error in our words."""


def exchange_names(db: Connection, one: str, other: str) -> None:
    """Gives each of two tables the name of the other, inside a transaction."""
    between = f"{other}_{secrets.token_hex(4)}"
    for old, new in ((one, between), (other, one), (between, other)):
        db.execute(f"ALTER TABLE {quoted(old)} RENAME TO {quoted(new)}")


def quoted(name: str) -> str:
    """An identifier as statements take it."""
    return '"' + name.replace('"', '""') + '"'
