"""ClickHouse's engine: each query on its own, with its bases in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from flowise_telemetry_consumer.sinks.clickhouse.address import address_of
from flowise_telemetry_consumer.sinks.clickhouse.server import Server, text
from flowise_telemetry_report.engines.dialect import STANDARD

__all__ = ["ClickhouseEngine", "open_clickhouse"]

_WITHHELD = """
SELECT stream_id, instance_id, tupleElement(w, 'field') AS field, tupleElement(w, 'rule') AS rule,
       tupleElement(w, 'values') AS times
FROM (SELECT stream_id, instance_id, arrayJoin(withheld) AS w
      FROM stream_state WHERE occurred_at >= {since_time}) AS told"""


class ClickhouseEngine:
    """Queries on one database of a ClickHouse.

    A figure is as of the moment of its own query: what a consumer writes between two is in one and not in the other.
    """

    dialect = replace(STANDARD, latest="argMax(event_id, occurred_at)", withheld=_WITHHELD)
    graphs = None

    def __init__(self, url: str) -> None:
        self._address = address_of(url)
        self._server = Server(self._address)

    @property
    def url(self) -> str:
        """The sink's address, its password as ``***``."""
        return self._address.shown

    def has(self, name: str) -> bool:
        """Return True if there is a table or view of this name that the login may read."""
        return bool(self.columns(name))

    def columns(self, name: str) -> Sequence[str]:
        """Return the columns of a table or view."""
        where = f"database = {text(self._address.database)} AND table = {text(name)}"
        return [str(column) for (column,) in self.rows(f"SELECT name FROM system.columns WHERE {where}")]  # noqa: S608 - quoted

    def keep(self, name: str, query: str) -> bool:
        """Keep nothing: a temporary table needs a session, and a login that may write."""
        return False

    def show(self, name: str, query: str) -> None:
        """Do nothing: there is no view for one query alone."""

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        return self._server.rows(query)

    def close(self) -> None:
        """Close the connection."""
        self._server.close()


def open_clickhouse(url: str) -> ClickhouseEngine:
    """Return the engine of a ClickHouse URL."""
    return ClickhouseEngine(url)
