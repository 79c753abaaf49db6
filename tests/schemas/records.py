"""Records of every event, in wire form, for the tests."""

from __future__ import annotations

from typing import Any

from flowise_telemetry_schemas import (
    AssistantCreated,
    ChatflowCreated,
    Edge,
    Envelope,
    Event,
    FlowGraph,
    OriginType,
    PredictionSent,
    ToolCreated,
    VectorUpserted,
)

GRAPH = FlowGraph(
    nodes=("chatOpenAI_0", "conversationChain_0", "bufferMemory_12"),
    edges=(Edge("chatOpenAI_0", "conversationChain_0"), Edge("bufferMemory_12", "conversationChain_0")),
)
FLOW_ID = "0b7ac60e-51a4-4bb5-a6a5-f1ae0fd1cf8f"
CHAT_ID = "7f3dd04b-9b5c-4f9c-8a43-d1a1d1c3b0a2"

EVENTS: tuple[Event, ...] = (
    AssistantCreated(version="3.0.1", assistant_id=FLOW_ID),
    ChatflowCreated(version="3.0.1", chatflow_id=FLOW_ID, flow_graph=GRAPH),
    PredictionSent(
        version="2.2.7-patch.1", chatflow_id=FLOW_ID, chat_id=CHAT_ID, type=OriginType.EXTERNAL, flow_graph=GRAPH
    ),
    ToolCreated(version="3.0.1", tool_id=FLOW_ID, tool_name="get_current_datetime"),
    VectorUpserted(
        version="3.0.1",
        chatflow_id=FLOW_ID,
        type=OriginType.INTERNAL,
        flow_graph=GRAPH,
        stop_node_id="bufferMemory_12",
    ),
    VectorUpserted(
        version="3.0.1",
        chatflow_id=FLOW_ID,
        type=OriginType.INTERNAL,
        flow_graph=FlowGraph(nodes=(), edges=()),
        stop_node_id=None,
    ),
)

ENVELOPE = Envelope(
    event_id="01890a5d-ac96-774b-bcce-b302099a8057",
    occurred_at_ms=1_700_000_000_123,
    instance_id="1fbd4c35-8f0f-8e0e-9cf0-1f0d3b0a9d11",
    stream_id="a35c9c43-7c8e-4a44-8a07-0f5f0f43f9d4",
    sequence=64,
)

STATE: dict[str, Any] = {
    **ENVELOPE.fields(),
    "version": "3.0.1",
    "numbered": 1_000,
    "waiting": 3,
    "droppedQueueFull": 20,
    "droppedInvalid": 1,
    "droppedTooLarge": 0,
    "droppedExpired": 0,
    "droppedClosed": 2,
    "droppedRejected": 0,
    "withheld": [{"event": "tool_created", "field": "toolName", "rule": "not_a_name", "values": 7}],
    "ended": False,
}
"""A control record, of the stream of ``ENVELOPE``."""


def record_of(event: Event, envelope: Envelope = ENVELOPE) -> dict[str, Any]:
    """The record that the producer makes of an event."""
    return {**envelope.fields(), **event.properties()}
