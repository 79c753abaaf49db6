"""A flow reduced to its structure: node ids and the edges between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Edge", "FlowGraph"]


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
    def from_react_flow(cls, nodes: Iterable[Mapping[str, Any]], edges: Iterable[Mapping[str, Any]]) -> FlowGraph:
        """Reduce an exported flow: of a node its ``id`` is kept, of an edge its ``source`` and ``target``.

        A node without an id is left out and counted, and so is an edge whose source or target is not one of the nodes.
        Never raises for odd content: it is the users' data, not a mistake of the app.
        """
        ids, dropped_nodes = [], 0
        for node in nodes if isinstance(nodes, Iterable) else ():
            node_id = node.get("id") if isinstance(node, Mapping) else None
            if isinstance(node_id, str):
                ids.append(node_id)
            else:
                dropped_nodes += 1
        known = set(ids)
        kept, dropped_edges = [], 0
        for edge in edges if isinstance(edges, Iterable) else ():
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
