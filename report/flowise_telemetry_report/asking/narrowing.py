"""Views of graphs over few events: a graph is taken apart once for a flow, and not for each of its predictions."""

from __future__ import annotations

from flowise_telemetry_consumer.sinks.views.columns import ShownColumns
from flowise_telemetry_consumer.sinks.views.statements import queries
from flowise_telemetry_report.engines import Engine
from flowise_telemetry_schemas import catalog

__all__ = ["narrow_graphs"]

_EVENTS = ("chatflow_created", "prediction_sent")
_IDS = ("event_id", "instance_id", "chatflow_id")
_OTHERS = ("occurred_at", "version", "flow_graph")
_GRAPHS = ("nodes", "edges")


def narrow_graphs(engine: Engine, *, to: str) -> bool:
    """Have ``nodes`` and ``edges`` show the events alone whose id is kept under a name, as far as they matter here.

    No engine would look at the ids before it takes the graphs apart, which for ten million events is nearly all the
    work. The views are the sink's own texts, over copies of few rows. Return False where the engine has no such views.
    """
    if engine.graphs is None:
        return False
    there = [event for event in _EVENTS if engine.has(event)]
    for event in there:
        ids = {name: engine.dialect.id.replace("{}", name) for name in _IDS}
        columns = ", ".join([*(f"{value} AS {name}" for name, value in ids.items()), *_OTHERS])
        newest = f"{ids['event_id']} IN (SELECT event_id FROM {to})"  # noqa: S608 - names of ours
        engine.keep(_copy(event), f"SELECT {columns} FROM {event} WHERE {newest}")  # noqa: S608 - as above
    shown = ShownColumns().with_events(catalog().latest(event) for event in there)
    held = {event: frozenset(engine.columns(_copy(event))) for event in there}
    for name, query in queries(shown.within(held), engine.graphs, _copy, frozenset()):
        if name in _GRAPHS:
            engine.show(name, query)
    return True


def _copy(event: str) -> str:
    return f"latest_{event}"
