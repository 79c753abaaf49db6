"""A lake at one moment: the version of each table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager

import polars as pl

from flowise_telemetry_consumer.errors import SinkError, SnapshotGoneError
from flowise_telemetry_consumer.sinks.delta.event_table import EventTable
from flowise_telemetry_consumer.sinks.delta.log import TableLog
from flowise_telemetry_consumer.sinks.delta.store import Store
from flowise_telemetry_consumer.sinks.known_events import KnownEvents

__all__ = ["DeltaSnapshot", "earlier_tables"]

_VERSION = re.compile(r"([a-z0-9_]+)=(\d+)@(\S+)")


class DeltaSnapshot:
    """``Snapshot`` of tables that are loaded at their versions."""

    def __init__(
        self,
        url: str,
        tables: Mapping[str, EventTable],
        schemas: KnownEvents,
        translate_errors: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._url = url
        self._tables = tables
        self._schemas = schemas
        self._translate_errors = translate_errors

    @property
    def name(self) -> str:
        """Event, version and id of each table."""
        return " ".join(
            f"{event}={table.log.version}@{table.log.metadata['id']}" for event, table in sorted(self._tables.items())
        )

    def counts(self) -> dict[str, int]:
        """Return the number of rows of each table."""
        with self._translate_errors():
            return {event: table.count() for event, table in sorted(self._tables.items())}

    def files(self) -> dict[str, list[str]]:
        """Return the data files of each table, by their path from the root of the lake."""
        return {
            event: [f"{table.log.table}/{file.path}" for file in table.log.files.values()]
            for event, table in self._tables.items()
        }

    def read(self, event: str, *, start_row: int = 0, batch_rows: int = 10_000) -> Iterator[pl.DataFrame]:
        """Yield the rows of one table, day after day."""
        table = self._tables.get(event)
        if table is None:
            raise SinkError(f"{self._url} has no table {event}: a consumer makes it when it starts", event=event)
        with self._translate_errors():
            schema = self._schemas.find(event)
            yield from table.read(schema, batch_rows, start_row=start_row)


def earlier_tables(store: Store, prefix: str, name: str, url: str) -> dict[str, EventTable]:
    """Return the tables of a snapshot's name by event. Raises ``SnapshotGoneError`` where one is not that any more."""
    found = [_VERSION.fullmatch(part) for part in name.split(" ")]
    tables = {match[1]: EventTable(store, prefix + match[1]) for match in found if match is not None}
    for match in found:
        if match is None or not _is_at(tables[match[1]].log, int(match[2]), match[3]):
            what = f"version {match[2]} of {match[1]}" if match is not None else "the state of that name"
            raise SnapshotGoneError(f"{url}: {what} is gone: read the newest one")
    return tables


def _is_at(log: TableLog, version: int, table_id: str) -> bool:
    """Read the state of an earlier version; False where the log does not go back to it, or is another table's."""
    from deltalake.exceptions import DeltaError

    try:
        return log.load(version) and log.metadata["id"] == table_id
    except (DeltaError, FileNotFoundError):
        return False
