"""The kinds of record that a sink may hold: it makes tables for what it was prepared for, and reads what it knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from flowise_telemetry_consumer.sinks.rows import newest
from flowise_telemetry_schemas import EventSchema, catalog

__all__ = ["EVENT_COLUMNS", "KnownEvents"]

EVENT_COLUMNS = frozenset({"event_id", "occurred_at", "instance_id", "stream_id", "sequence"})
"""The columns of the envelope, which the table of every event has."""


class KnownEvents(dict[str, EventSchema]):
    """The schemas that a sink was prepared for, by event, the newest of each.

    A sink that was not prepared, as one that is only read, knows those that it was told of (``KnowsEvents``), else
    those that the package ships.
    """

    def __init__(self) -> None:
        super().__init__()
        self._told: Mapping[str, EventSchema] | None = None

    def add(self, schemas: Iterable[EventSchema]) -> None:
        """Add what the sink is prepared for."""
        self.update(newest([*self.values(), *schemas]))

    def tell(self, schemas: Iterable[EventSchema]) -> None:
        """Take these for what an unprepared sink may hold."""
        self._told = newest(schemas)

    def all(self) -> Mapping[str, EventSchema]:
        """Return the newest schema of each event."""
        return self or self._told or newest(catalog())

    def strangers(self, tables: Mapping[str, Iterable[str]]) -> list[str]:
        """Return those of the tables, by their columns, that hold events of no known kind; staging tables too."""
        kinds = self.all()
        others = (table for table in tables if table.rpartition("__")[2] not in kinds)
        return sorted(table for table in others if {*tables[table]} >= EVENT_COLUMNS)

    def find(self, event: str) -> EventSchema:
        """Return the schema of an event. Raises ``SchemaError`` listing the names that exist."""
        return self.get(event) or (self._told or {}).get(event) or catalog().latest(event)
