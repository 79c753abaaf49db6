"""Views of graphs over few events: a graph is taken apart once for a flow, and not for each of its predictions."""

from __future__ import annotations

from flowise_telemetry_consumer.sinks.views.columns import ShownColumns
from flowise_telemetry_consumer.sinks.views.statements import queries
from flowise_telemetry_report.engines import Engine
from flowise_telemetry_schemas import catalog

__all__ = ["narrow_graphs"]

_EVENTS = ("chatflow_created", "prediction_sent")
_NOT_ASKED = {"event_id": "uuid", "occurred_at": "time", "version": "text"}
"""Columns of the views, with their kinds, that no question about graphs looks at: they are not copied."""
_GRAPHS = ("nodes", "edges")


def narrow_graphs(engine: Engine, *, to: str) -> bool:
    """Have ``nodes`` and ``edges`` show the events alone whose id is kept under a name, as far as they matter here.

    No engine would look at the ids before it takes the graphs apart, which for ten million events is nearly all the
    work. The views are the sink's own texts, over copies of few rows. Return False where the engine has no such views.
    """
    if engine.graphs is None:
        return False
    there = [event for event in _EVENTS if engine.has(event)]
    others = ", ".join(f"{engine.graphs.missing(kind)} AS {name}" for name, kind in _NOT_ASKED.items())
    for event in there:
        columns = f"n.instance_id, n.chatflow_id, {others}, e.flow_graph"
        engine.keep(_copy(event), f"SELECT {columns} FROM {event} AS e JOIN {to} AS n ON n.event_id = e.event_id")  # noqa: S608 - names of ours
    shown = ShownColumns().with_events(catalog().latest(event) for event in there)
    held = {event: frozenset(engine.columns(_copy(event))) for event in there}
    for name, query in queries(shown.within(held), engine.graphs, _copy, frozenset()):
        if name in _GRAPHS:
            engine.show(name, query)
    return True


def _copy(event: str) -> str:
    return f"latest_{event}"
