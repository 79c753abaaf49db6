from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowise_telemetry_schemas import ChatflowCreated, Edge, FlowGraph, catalog, violations

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


def test_a_flow_is_taken_as_flowise_stores_it() -> None:
    flow = {"nodes": [node("a_0"), node("b_0"), {}], "edges": [edge("a_0", "b_0")], "viewport": {"x": 1}}
    wanted = FlowGraph.from_react_flow(flow["nodes"], flow["edges"])  # type: ignore[arg-type]  # of a mixed dict
    assert wanted.nodes == ("a_0", "b_0")
    for whole in (flow, json.dumps(flow), json.dumps(flow).encode()):
        assert FlowGraph.from_react_flow(whole) == wanted
    assert FlowGraph.from_react_flow(json.dumps(flow["nodes"]), json.dumps(flow["edges"])) == wanted
    assert FlowGraph.from_react_flow(json.dumps({"nodes": [node("a_0")]})).nodes == ("a_0",)


NO_FLOWS: list[tuple[Any, ...]] = [
    (None, []),
    (5, []),
    (5,),
    ("{broken",),
    ("",),
    ('"text"',),
    ("[]",),
    ("{}",),
    ({"edges": []},),
    ({"nodes": None, "edges": []},),
    ([node("a_0")],),
    ([node("a_0")], 7),
    ("[" * 100_000,),
    (b"\xff\xfe",),
    ('{"nodes": [], "edges": []}', []),
]


@pytest.mark.parametrize("given", NO_FLOWS, ids=lambda given: str(given)[:30])
def test_what_is_no_flow_is_refused_with_its_event_and_raises_nothing(given: tuple[Any, ...]) -> None:
    graph = FlowGraph.from_react_flow(*given)
    event = ChatflowCreated(chatflow_id="0e0f0a0b-1c2d-4e3f-8a9b-0123456789ab", flow_graph=graph)
    found = violations(catalog().latest("chatflow_created"), event.properties())
    assert "flowGraph.nodes" in {violation.field for violation in found}
