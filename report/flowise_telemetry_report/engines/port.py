"""The engine port: all that the report knows of whatever runs its queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from flowise_telemetry_consumer.sinks.views import Dialect as GraphDialect
from flowise_telemetry_report.engines.dialect import Dialect

__all__ = ["Engine"]


class Engine(Protocol):
    """Runs queries on one sink, and changes nothing there. Opening it touches the sink.

    All that it answers is as of one moment where the engine has such a thing: SQLite, DuckDB, PostgreSQL, and Delta.
    """

    @property
    def url(self) -> str:
        """The sink's address, for messages: its password is masked."""

    @property
    def dialect(self) -> Dialect:
        """How it spells what engines spell differently."""

    def has(self, name: str) -> bool:
        """Return True if the sink has a table or view of this name."""

    def columns(self, name: str) -> Sequence[str]:
        """Return the columns of a table or view."""

    def keep(self, name: str, query: str) -> bool:
        """Keep the rows of a query under a name for later queries; return False where this engine keeps nothing."""

    @property
    def graphs(self) -> GraphDialect | None:
        """How it spells the views of graphs; None where it keeps nothing that they could read."""

    def show(self, name: str, query: str) -> None:
        """Have a view of the sink show this query instead, for later queries of this engine alone."""

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query. Raises ``SinkError``, ``SinkUnavailableError``."""

    def close(self) -> None:
        """Release files, connections and what was kept."""
