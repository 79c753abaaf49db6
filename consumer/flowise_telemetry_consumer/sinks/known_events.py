"""The kinds of record that a sink may hold: it makes tables for what it was prepared for, and reads what it knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from flowise_telemetry_consumer.sinks.rows import newest
from flowise_telemetry_schemas import EventSchema, catalog

__all__ = ["KnownEvents"]


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

    def find(self, event: str) -> EventSchema:
        """Return the schema of an event. Raises ``SchemaError`` listing the names that exist."""
        return self.get(event) or (self._told or {}).get(event) or catalog().latest(event)
