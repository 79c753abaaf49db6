"""An invented app for the demo: a few flows, some of them popular, whose events go through the producer.

Ids come from a seeded random generator, flows from a handful of node types.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flowise_telemetry_schemas import (
    AssistantCreated,
    ChatflowCreated,
    Event,
    FlowGraph,
    OriginType,
    PredictionSent,
    ToolCreated,
    VectorUpserted,
)

__all__ = ["APP_VERSION", "example_events", "react_flow"]

APP_VERSION = "3.0.1"

_MODELS = ("chatOpenAI", "chatAnthropic", "chatOllama", "chatMistralAI")
_MEMORIES = ("bufferMemory", "bufferWindowMemory", "RedisBackedChatMemory")
_STORES = ("pinecone", "qdrant", "faiss", "postgres")
_TOOLS = ("search_orders", "get_weather", "create_ticket", "lookup_customer", "send_invoice")


@dataclass(frozen=True, slots=True)
class _Flow:
    flow_id: str
    graph: FlowGraph
    store: str | None


def react_flow(rng: random.Random) -> dict[str, Any]:
    """Return a flow as the app exports it: nodes and edges, with prompts and settings that must never leave the app."""
    chain = "conversationalRetrievalQAChain" if rng.random() < 0.6 else "conversationChain"
    kinds = [rng.choice(_MODELS), rng.choice(_MEMORIES), chain]
    if chain == "conversationalRetrievalQAChain":
        kinds += [rng.choice(_STORES), "openAIEmbeddings", "pdfFile", "recursiveCharacterTextSplitter"]
    kinds += ["customTool"] * rng.randrange(0, 6)
    counts: dict[str, int] = {}
    nodes = []
    for kind in kinds:
        number = counts.get(kind, 0)
        counts[kind] = number + 1
        secret = f"sk-example-{rng.randbytes(12).hex()}"
        inputs = {"systemMessage": "You answer in the voice of our brand.", "apiKey": secret}
        nodes.append({"id": f"{kind}_{number}", "data": {"label": "A label", "inputs": inputs}})
    target = f"{chain}_0"
    edges = [{"source": node["id"], "target": target} for node in nodes if node["id"] != target]
    return {"nodes": nodes, "edges": edges}


def example_events(count: int, seed: int = 1) -> Iterator[Event]:
    """Yield ``count`` events of all five kinds, mostly predictions, as in real use."""
    rng = random.Random(seed)  # noqa: S311 - invented data, the same in every demo
    flows: list[_Flow] = []
    for number in range(count):
        kind = number % 5 if number < 5 else rng.choices(range(5), (4, 3, 2, 11, 80))[0]
        if kind == 0 or not flows:
            flows.append(_new_flow(rng))
            yield ChatflowCreated(chatflow_id=flows[-1].flow_id, flow_graph=flows[-1].graph)
            continue
        # Early flows are the popular ones.
        flow = flows[min(int(rng.expovariate(0.2)), len(flows) - 1)]
        origin = OriginType.EXTERNAL if rng.random() < 0.7 else OriginType.INTERNAL
        match kind:
            case 1:
                yield ToolCreated(tool_id=_uuid(rng), tool_name=rng.choice(_TOOLS))
            case 2:
                yield AssistantCreated(assistant_id=_uuid(rng))
            case 3:
                yield VectorUpserted(
                    chatflow_id=flow.flow_id, type=origin, flow_graph=flow.graph, stop_node_id=flow.store
                )
            case _:
                yield PredictionSent(chatflow_id=flow.flow_id, chat_id=_uuid(rng), type=origin, flow_graph=flow.graph)


def _new_flow(rng: random.Random) -> _Flow:
    exported = react_flow(rng)
    store = next((node["id"] for node in exported["nodes"] if node["id"].removesuffix("_0") in _STORES), None)
    return _Flow(_uuid(rng), FlowGraph.from_react_flow(exported["nodes"], exported["edges"]), store)


def _uuid(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))
