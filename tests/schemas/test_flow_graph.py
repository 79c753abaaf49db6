from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowise_telemetry_schemas import Edge, FlowGraph

PROMPT = "You are a helpful assistant. Never mention the secret recipe."


def node(node_id: str) -> dict[str, Any]:
    return {"id": node_id, "position": {"x": 1.5}, "data": {"label": "My Chat", "inputs": {"systemMessage": PROMPT}}}


def edge(source: str, target: str) -> dict[str, Any]:
    return {"source": source, "target": target, "sourceHandle": f"{source}-output", "data": {"label": PROMPT}}


def test_only_ids_and_ends_of_edges_survive() -> None:
    graph = FlowGraph.from_react_flow([node("chatOpenAI_0"), node("chain_0")], [edge("chatOpenAI_0", "chain_0")])
    assert graph == FlowGraph(nodes=("chatOpenAI_0", "chain_0"), edges=(Edge("chatOpenAI_0", "chain_0"),))
    assert graph.properties() == {
        "nodes": ["chatOpenAI_0", "chain_0"],
        "edges": [{"source": "chatOpenAI_0", "target": "chain_0"}],
    }


def test_edges_with_a_missing_end_and_nodes_without_an_id_are_dropped_and_counted() -> None:
    nodes: list[Any] = [node("a_0"), {"data": {}}, {"id": 7}, "text"]
    edges: list[Any] = [edge("a_0", "a_0"), edge("a_0", "gone_0"), {"source": "a_0"}, None]
    graph = FlowGraph.from_react_flow(nodes, edges)
    assert (graph.nodes, graph.edges) == (("a_0",), (Edge("a_0", "a_0"),))
    assert (graph.dropped_nodes, graph.dropped_edges) == (3, 3)
    assert set(graph.properties()) == {"nodes", "edges"}


def test_a_list_given_to_a_graph_can_no_longer_change_it() -> None:
    nodes: Any = ["a_0"]
    graph = FlowGraph(nodes=nodes, edges=())
    nodes.append(PROMPT)
    assert graph.nodes == ("a_0",)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda below: st.lists(below) | st.dictionaries(st.sampled_from(["id", "source", "target", "x"]), below),
    max_leaves=20,
)


@given(nodes=st.lists(JSON), edges=st.lists(JSON))
def test_odd_content_never_raises(nodes: list[Any], edges: list[Any]) -> None:
    graph = FlowGraph.from_react_flow(nodes, edges)
    assert len(graph.nodes) + graph.dropped_nodes == len(nodes)
    assert len(graph.edges) + graph.dropped_edges == len(edges)


@pytest.mark.parametrize("nodes", [None, 5])
def test_no_list_of_nodes_is_an_empty_graph(nodes: Any) -> None:
    assert FlowGraph.from_react_flow(nodes, []).nodes == ()
