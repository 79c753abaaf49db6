"""What is kept of an event that one of PostHog's clients sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flowise_telemetry_schemas import Edge, FlowGraph, OriginType, ToolCreated, VectorUpserted
from flowise_telemetry_schemas.posthog import LATEST_MS, OLDEST_MS, NotMappedError, read_posthog

ID = "0e0f0a0b-1c2d-4e3f-8a9b-0123456789ab"
KEY = b"k" * 32
NOW_MS = 1_764_268_200_000
NOW = "2025-11-27T18:30:00.000Z"


def message(event: str = "tool_created", **properties: Any) -> dict[str, Any]:
    """One of posthog-node 3.6.3, as the app calls it."""
    own = {"toolId": ID, "toolName": "get_weather"} if event == "tool_created" else {}
    return {
        "distinct_id": "org-1",
        "event": event,
        "properties": {
            **own,
            "version": "3.0.1",
            "$lib": "posthog-node",
            "$lib_version": "3.6.3",
            "$geoip_disable": True,
            **properties,
        },
        "type": "capture",
        "library": "posthog-node",
        "library_version": "3.6.3",
        "timestamp": NOW,
        "uuid": "0190a1b2-0000-4000-8000-000000000001",
    }


def test_what_the_schema_names_is_kept_and_the_rest_counted() -> None:
    kept = read_posthog(message(productId="p", subscriptionId="s", secret="sk-1", eventId=ID, nested={"a": 1}))
    assert kept.event == ToolCreated(tool_id=ID, tool_name="get_weather", version="3.0.1")
    assert kept.distinct_id == "org-1"
    assert kept.dropped_properties == 3  # secret, eventId, nested; neither billing nor PostHog's own


@pytest.mark.parametrize("told", ["INTERNAL", "EXTERNAL", "EVALUATION", "something new"])
def test_a_prediction(told: str) -> None:
    graph = {
        "nodes": ["chatOpenAI_0", "toolAgent_0", 7],
        "edges": [
            {"source": "chatOpenAI_0", "target": "toolAgent_0", "label": "of a person"},
            {"source": "chatOpenAI_0", "target": "nowhere_0"},
            "odd",
        ],
    }
    kept = read_posthog(message("prediction_sent", chatflowId=ID, chatId="any", type=told, flowGraph=graph))
    event: Any = kept.event
    assert event.flow_graph == FlowGraph(("chatOpenAI_0", "toolAgent_0"), (Edge("chatOpenAI_0", "toolAgent_0"),))
    assert event.type == told  # the producer puts OTHER where it is none of the schema's, and counts it
    assert kept.dropped_properties == 0


@pytest.mark.parametrize(
    "graph",
    [{}, {"flowGraph": None}, {"flowGraph": {}}, {"flowGraph": {"numAdded": 3, "numUpdated": 0, "numSkipped": 1}}],
)
def test_an_upsert_from_the_document_store_has_no_graph(graph: dict[str, Any]) -> None:
    kept = read_posthog(message("vector_upserted", chatlowId=ID, type="INTERNAL", **graph))
    assert kept.event == VectorUpserted(
        version="3.0.1", chatflow_id=ID, type=OriginType.INTERNAL, flow_graph=FlowGraph((), ())
    )


@pytest.mark.parametrize(("given", "kept"), [("", None), ("pinecone_0", "pinecone_0"), (None, None)])
def test_an_upsert_into_a_node(given: str | None, kept: str | None) -> None:
    graph = {"nodes": ["pinecone_0"], "edges": []}
    found: Any = read_posthog(message("vector_upserted", chatlowId=ID, type="API", flowGraph=graph, stopNodeId=given))
    assert found.event.stop_node_id == kept


def test_a_flow_under_both_spellings_is_taken_by_the_right_one() -> None:
    graph: dict[str, Any] = {"nodes": [], "edges": []}
    kept: Any = read_posthog(message("chatflow_created", chatlowId="other", chatflowId=ID, flowGraph=graph))
    assert kept.event.chatflow_id == ID


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (message("user_created"), "refused"),
        (message("organization_created"), "unknown"),
        (message("sk-live-of-a-person"), "unknown"),
        (message("stream_state"), "unknown"),
        ({**message(), "event": ["tool_created"]}, "unknown"),
        ({**message(), "distinct_id": ""}, "invalid"),
        ({**message(), "properties": "toolId"}, "invalid"),
        (message(version=None), "invalid"),
        (message(toolId="sk-live-of-a-person"), "invalid"),
        (message("chatflow_created", chatflowId=ID, flowGraph={"numAdded": 3}), "invalid"),
        (message("chatflow_created", chatflowId=ID, flowGraph={"nodes": ["a_0"] * 1_001, "edges": []}), "invalid"),
        ("text", "invalid"),
        (None, "invalid"),
    ],
)
def test_nothing_is_kept_of_what_is_no_event_and_no_value_is_told(bad: Any, why: str) -> None:
    with pytest.raises(NotMappedError) as told:
        read_posthog(bad)
    assert told.value.why == why
    assert "sk-live" not in str(told.value)
    assert "organization" not in str(told.value)


@pytest.mark.parametrize(
    ("given_ms", "kept_ms"),
    [
        (NOW_MS - OLDEST_MS, NOW_MS - OLDEST_MS),
        (NOW_MS - OLDEST_MS - 1, NOW_MS),
        (NOW_MS + LATEST_MS, NOW_MS + LATEST_MS),
        (NOW_MS + LATEST_MS + 1, NOW_MS),
    ],
)
def test_a_time_is_kept_within_a_week_before_and_five_minutes_after(given_ms: int, kept_ms: int) -> None:
    from flowise_telemetry_schemas.json_mapping import rfc3339

    assert read_posthog({**message(), "timestamp": rfc3339(given_ms)}).occurred_at_ms(NOW_MS) == kept_ms


@pytest.mark.parametrize("given", [None, 7, "yesterday", "9" * 100, "2025-02-30T00:00:00Z"])
def test_what_is_no_time_is_the_time_of_arrival(given: object) -> None:
    assert read_posthog({**message(), "timestamp": given}).occurred_at_ms(NOW_MS) == NOW_MS


@pytest.mark.parametrize("missing", [(), ("timestamp",), ("uuid",)])
@pytest.mark.parametrize("timestamp", [NOW, "1971-01-01T00:00:00Z", "9999-01-01T00:00:00Z"])
def test_a_retry_has_the_same_id_whenever_it_comes(missing: tuple[str, ...], timestamp: str) -> None:
    sent = {name: value for name, value in {**message(), "timestamp": timestamp}.items() if name not in missing}
    again = json.loads(json.dumps(sent))
    first = read_posthog(sent).event_id(KEY, NOW_MS)
    assert read_posthog(again).event_id(KEY, NOW_MS + 60_000) == first
    assert read_posthog(again).event_id(b"other", NOW_MS) != first
    assert first[14] == "7"


def test_ids_of_different_messages_differ() -> None:
    uuid7 = "0190a1b2-0000-7000-8000-00000000000A"
    assert read_posthog({**message(), "uuid": uuid7}).event_id(KEY, NOW_MS) == uuid7.lower()
    without = read_posthog({name: value for name, value in message().items() if name != "uuid"})
    assert without.event_id(KEY, NOW_MS, 0) != without.event_id(KEY, NOW_MS, 1)
    neither = read_posthog({"event": "tool_created", "distinct_id": 7, "properties": message()["properties"]})
    assert neither.event_id(KEY, NOW_MS) != neither.event_id(KEY, NOW_MS + 1)


@pytest.mark.parametrize("uuid", ["00000000-0000-0000-0000-000000000000", "undefined"])
def test_a_uuid_that_tells_nothing_apart_is_none(uuid: str) -> None:
    one, other = message(), message()
    other["properties"] = {**other["properties"], "toolName": "other"}
    ids = [read_posthog({**its, "uuid": uuid}).event_id(KEY, NOW_MS) for its in (one, other, one)]
    assert ids[0] == ids[2] != ids[1]


def test_a_message_may_be_nested_as_deep_as_can_be_read() -> None:
    nested: list[object] = []
    for _ in range(5_000):
        nested = [nested]
    deep = {**message(), "uuid": "", "x": nested}
    found = [read_posthog(deep).event_id(KEY, NOW_MS, place) for place in (0, 0, 1)]
    assert found[0] == found[1] != found[2]
