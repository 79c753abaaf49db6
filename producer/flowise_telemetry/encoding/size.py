"""Estimate of an event's size in memory. It reads no string, because it runs on the app's thread."""

from __future__ import annotations

from typing import Any

from flowise_telemetry_schemas.errors import ValidationError
from flowise_telemetry_schemas.events import EVENT_CLASSES
from flowise_telemetry_schemas.flow_graph import FlowGraph

__all__ = ["event_bytes", "unusual_bytes"]

_CLASSES = tuple(EVENT_CLASSES.values())
_NO_GRAPH = object()
_EVENT_BYTES = 1_024
_NODE_BYTES = 160  # a str of 96 characters, the most that an id may have, and its place in the tuple
_EDGE_BYTES = 376  # an Edge with two such strings that it does not share with the nodes


def event_bytes(event: Any) -> int:
    """Return the most memory that a valid event of this shape can take.

    Raises ``ValidationError`` if the flow graph is not a ``FlowGraph`` of tuples: a mutable one could change between
    the call and the encoding.
    """
    graph = getattr(event, "flow_graph", _NO_GRAPH)
    if graph is _NO_GRAPH:
        return _EVENT_BYTES
    if type(graph) is not FlowGraph or type(graph.nodes) is not tuple or type(graph.edges) is not tuple:
        message = "flowGraph: must be a FlowGraph of tuples"
        raise ValidationError(message, event=event.EVENT, field="flowGraph", rule="type")
    return _EVENT_BYTES + _NODE_BYTES * len(graph.nodes) + _EDGE_BYTES * len(graph.edges)


def unusual_bytes(event: Any) -> int:
    """Return the size of an event of a subclass. Raises ``ValidationError`` for anything else, and nothing else."""
    kind = type(event)
    if not issubclass(kind, _CLASSES):
        raise ValidationError(f"a {kind.__name__} is no event", event=None, field=None, rule="type")
    try:
        return event_bytes(event)
    except ValidationError:
        raise
    except Exception as error:
        # The text of an error that is not ours may hold a value.
        raise ValidationError(type(error).__name__, event=kind.EVENT, field=None, rule="type") from None
