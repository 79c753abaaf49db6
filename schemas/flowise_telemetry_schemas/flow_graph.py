"""A flow reduced to its structure: node ids and the edges between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["HAND_WRITTEN", "Edge", "FlowGraph"]


@dataclass(frozen=True, slots=True)
class Edge:
    """A connection from the node ``source`` to the node ``target``."""

    source: str
    target: str

    def properties(self) -> dict[str, Any]:
        """Return the edge in wire form."""
        return {"source": self.source, "target": self.target}


@dataclass(frozen=True, slots=True)
class FlowGraph:
    """Node ids and edges; nothing else of a flow fits in.

    ``dropped_nodes`` and ``dropped_edges`` count the ones that ``from_react_flow`` left out. They are never sent.
    """

    nodes: tuple[str, ...]
    edges: tuple[Edge, ...]
    dropped_nodes: int = field(default=0, compare=False)
    dropped_edges: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        # A list could change after the event is accepted and before it is encoded.
        if isinstance(self.nodes, list):
            object.__setattr__(self, "nodes", tuple(self.nodes))
        if isinstance(self.edges, list):
            object.__setattr__(self, "edges", tuple(self.edges))

    @classmethod
    def from_react_flow(
        cls,
        nodes: Iterable[Mapping[str, Any]] | Mapping[str, Any] | str | bytes,
        edges: Iterable[Mapping[str, Any]] | str | bytes | None = None,
    ) -> FlowGraph:
        """Reduce an exported flow: of a node its ``id`` is kept, of an edge its ``source`` and ``target``.

        Takes the nodes and the edges, or the flow as one: the object ``{"nodes": …, "edges": …}``, or its JSON text, as
        Flowise stores it (``flowData``). A node without an id is left out and counted, and so is an edge whose source
        or target is not one of the nodes. Never raises for odd content: it is the users' data, not a mistake of the
        app. Anything else becomes a graph that no event can be sent with: with ``strict`` that raises
        ``ValidationError``.
        """
        given = _parsed(nodes)
        if edges is None and isinstance(given, Mapping):
            given, edges = _parsed(given.get("nodes")), given.get("edges", ())
        given_edges = _parsed(edges)
        if not _is_list(given) or not _is_list(given_edges):
            return _NO_FLOW
        ids, dropped_nodes = [], 0
        for node in given:
            node_id = node.get("id") if isinstance(node, Mapping) else None
            if isinstance(node_id, str):
                ids.append(node_id)
            else:
                dropped_nodes += 1
        known = set(ids)
        kept, dropped_edges = [], 0
        for edge in given_edges:
            source, target = (edge.get("source"), edge.get("target")) if isinstance(edge, Mapping) else (None, None)
            if isinstance(source, str) and isinstance(target, str) and source in known and target in known:
                kept.append(Edge(source, target))
            else:
                dropped_edges += 1
        return cls(tuple(ids), tuple(kept), dropped_nodes=dropped_nodes, dropped_edges=dropped_edges)

    def properties(self) -> dict[str, Any]:
        """Return the graph in wire form. A value of a wrong type is kept, for the constraints to reject."""
        nodes = list(self.nodes) if isinstance(self.nodes, tuple) else self.nodes
        edges = (
            [edge.properties() if isinstance(edge, Edge) else edge for edge in self.edges]
            if isinstance(self.edges, tuple)
            else self.edges
        )
        return {"nodes": nodes, "edges": edges}


def _parsed(given: object) -> Any:
    """Return what JSON text says; None if it is none. Anything else stays as it is."""
    if not isinstance(given, str | bytes | bytearray):
        return given
    import json  # an app that gives no text does not wait for it

    try:
        return json.loads(given)
    except (ValueError, RecursionError):
        return None


def _is_list(given: object) -> bool:
    return isinstance(given, Iterable) and not isinstance(given, str | bytes | bytearray | Mapping)


_NOTHING: Any = None
_NO_FLOW = FlowGraph(nodes=_NOTHING, edges=_NOTHING)

HAND_WRITTEN: Mapping[str, type[Any]] = {"FlowGraph": FlowGraph, "Edge": Edge}
"""The records whose class does more than hold its fields, by their Avro name. A test compares them to the schemas."""
