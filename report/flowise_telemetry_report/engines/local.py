"""An engine in this process: what it keeps is in its own temporary tables and views."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

__all__ = ["LocalEngine"]


class LocalEngine(ABC):
    """What SQLite and DuckDB have in common; ``db`` is set by who opens one."""

    db: Any

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def url(self) -> str:
        """The sink's address."""
        return self._url

    @abstractmethod
    def columns(self, name: str) -> Sequence[str]:
        """Return the columns of a table or view."""

    @abstractmethod
    def _translated_errors(self) -> AbstractContextManager[None]:
        """Raise the errors of the engine as ``SinkError``."""

    def has(self, name: str) -> bool:
        """Return True if there is a table or view of this name."""
        return bool(self.columns(name))

    def keep(self, name: str, query: str) -> bool:
        """Keep the rows in a temporary table."""
        self._run(f"CREATE TEMP TABLE {name} AS {query}")
        return True

    def show(self, name: str, query: str) -> None:
        """Put a temporary view in front of the sink's."""
        self._run(f"CREATE TEMP VIEW {name} AS {query}")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        return self._run(query)

    def _run(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._translated_errors():
            found: list[tuple[Any, ...]] = self.db.execute(statement, values).fetchall()
        return found
