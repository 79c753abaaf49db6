"""A topic of mixed events to read: four fifths are predictions, flows have 2 to 14 nodes, every id is another."""

from __future__ import annotations

import random
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tests.services.kafka import KafkaService

from flowise_telemetry import (
    AssistantCreated,
    ChatflowCreated,
    Edge,
    Event,
    FlowGraph,
    OriginType,
    PredictionSent,
    ToolCreated,
    VectorUpserted,
)
from flowise_telemetry.encoding.encoder import Encoder, new_stream_id
from flowise_telemetry.identity.instance_id import InstanceId

__all__ = ["FilledTopic", "fill"]

_FLOWS = 500
_STREAMS = 50
_SPREAD_MS = 6 * 3_600_000  # the backlog of a quarter of a day
_PARTITIONS = 4
_NODE_KINDS = ("chatOpenAI", "bufferMemory", "conversationChain", "pinecone", "openAIEmbeddings", "customTool")
_SHARES = {
    "prediction_sent": 80,
    "vector_upserted": 11,
    "chatflow_created": 4,
    "tool_created": 3,
    "assistant_created": 2,
}
_QUEUE_EVENTS = 200_000
_FLUSH_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class FilledTopic:
    """Where, and how many events of each kind."""

    servers: str
    topic: str
    counts: dict[str, int]

    @property
    def events(self) -> int:
        """All of them."""
        return sum(self.counts.values())


def fill(kafka: KafkaService, count: int, *, seed: int = 1) -> FilledTopic:
    """A new topic with so many events, evenly over four partitions; the same events for the same seed, ids apart."""
    from confluent_kafka import Producer

    servers, topic = ",".join(kafka.bootstrap_servers), kafka.new_topic(partitions=_PARTITIONS)
    encoders = [Encoder("3.0.1", InstanceId(b"bench %d" % number), new_stream_id()) for number in range(_STREAMS)]
    producer = Producer({
        "bootstrap.servers": servers,
        "linger.ms": 20,
        "compression.type": "none",
        "partitioner": "murmur2_random",
        "queue.buffering.max.messages": _QUEUE_EVENTS,
    })  # fmt: skip
    counts: Counter[str] = Counter()
    begun_ms = time.time_ns() // 1_000_000 - _SPREAD_MS
    for number, event in enumerate(_events(count, seed)):
        moment_ms = begun_ms + number * _SPREAD_MS // count
        encoded = encoders[number % _STREAMS].encode(event, number // _STREAMS, moment_ms)
        while True:
            try:
                producer.produce(topic, encoded.value, encoded.key)
            except BufferError:
                producer.poll(0.1)
            else:
                break
        counts[encoded.event] += 1
        if not number % 1_000:
            producer.poll(0)
    if producer.flush(_FLUSH_SECONDS):
        raise SystemExit(f"error: the topic of {count} events was not filled in time")
    return FilledTopic(servers, topic, dict(counts))


def _events(count: int, seed: int) -> Iterator[Event]:
    rng = random.Random(seed)
    flows = [(_uuid(rng), _graph(rng)) for _ in range(_FLOWS)]
    origins = (OriginType.EXTERNAL, OriginType.INTERNAL)
    for kind in rng.choices(list(_SHARES), list(_SHARES.values()), k=count):
        flow_id, graph = flows[int(rng.random() * _FLOWS)]
        match kind:
            case "prediction_sent":
                yield PredictionSent(
                    chatflow_id=flow_id, chat_id=_uuid(rng), type=origins[rng.random() > 0.7], flow_graph=graph
                )
            case "vector_upserted":
                stop = graph.nodes[-1]
                yield VectorUpserted(chatflow_id=flow_id, type=OriginType.INTERNAL, flow_graph=graph, stop_node_id=stop)
            case "chatflow_created":
                yield ChatflowCreated(chatflow_id=flow_id, flow_graph=graph)
            case "tool_created":
                yield ToolCreated(tool_id=_uuid(rng), tool_name="get_weather")
            case _:
                yield AssistantCreated(assistant_id=_uuid(rng))


def _graph(rng: random.Random) -> FlowGraph:
    nodes = tuple(f"{rng.choice(_NODE_KINDS)}_{number}" for number in range(rng.randint(2, 14)))
    return FlowGraph(nodes, tuple(Edge(node, nodes[0]) for node in nodes[1:]))


def _uuid(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))
