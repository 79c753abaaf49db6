"""Columns that the views show: of the events which a sink was ever prepared for, whoever prepares it now.

They are kept in the views' own comments, so that a consumer which was told of fewer events takes nothing away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flowise_telemetry_consumer.sinks.rows import newest
from flowise_telemetry_schemas import EventSchema, Field
from flowise_telemetry_schemas.envelope import ENVELOPE_FIELDS, STREAM_STATE

__all__ = ["ShownColumns"]

_KINDS = {
    "string": "text",
    "enum": "text",
    "uuid": "uuid",
    "int": "integer",
    "long": "integer",
    "boolean": "boolean",
    "timestamp": "time",
}
_GRAPH = "FlowGraph"
_OURS = frozenset({"event", "day"})
"""Columns of the views themselves."""


@dataclass(frozen=True, slots=True)
class ShownColumns:
    """Kinds of all columns beyond the envelope, in order; those of each event; and the column of its graph."""

    kinds: Mapping[str, str] = field(default_factory=dict)
    events: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    graphs: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """Return what ``read`` takes."""
        return {
            "kinds": dict(self.kinds),
            "events": {e: list(c) for e, c in self.events.items()},
            "graphs": dict(self.graphs),
        }

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> ShownColumns:
        """Return the columns of a comment."""
        return cls(said["kinds"], {event: tuple(its) for event, its in said["events"].items()}, said["graphs"])

    def with_events(self, schemas: Iterable[EventSchema]) -> ShownColumns:
        """Return these and what the events have beyond them; a column of two kinds is text. Order stays."""
        kinds, events, graphs = dict(self.kinds), dict(self.events), dict(self.graphs)
        for event, schema in newest(schemas).items():
            if event == STREAM_STATE:
                continue
            shown = {its.column: _KINDS[its.kind] for its in schema.fields if _is_shown(its)}
            for column, kind in shown.items():
                kinds[column] = kind if kinds.get(column, kind) == kind else "text"
            events[event] = tuple(dict.fromkeys((*events.get(event, ()), *shown)))
            graph = next((its.column for its in schema.fields if its.type_name == _GRAPH), None)
            if graph is not None:
                graphs[event] = graph
        return ShownColumns(kinds, dict(sorted(events.items())), dict(sorted(graphs.items())))

    def within(self, tables: Mapping[str, frozenset[str]]) -> ShownColumns:
        """Return the events that have a table, with the columns that it has; all columns stay shown."""
        return ShownColumns(
            self.kinds,
            {e: tuple(c for c in its if c in tables[e]) for e, its in self.events.items() if tables.get(e)},
            {e: graph for e, graph in self.graphs.items() if graph in tables.get(e, ())},
        )


def _is_shown(its: Field) -> bool:
    return its.kind in _KINDS and its.name not in ENVELOPE_FIELDS and its.column not in _OURS
