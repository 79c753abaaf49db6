"""Events to send, and the records that came of them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

from flowise_telemetry import Edge, FlowGraph, OriginType, PredictionSent, ToolCreated
from flowise_telemetry_schemas import catalog, codec
from flowise_telemetry_schemas.codec import HEADER_BYTES, MARKER
from flowise_telemetry_transport import InMemoryBroker, Record, TopicPartition
from flowise_telemetry_transport.topics import EVENTS_TOPIC

STATE = catalog().latest("stream_state")
ID = "0e0f0a0b-1c2d-4e3f-8a9b-0123456789ab"


def tool_created(number: int = 0) -> ToolCreated:
    return ToolCreated(tool_id=f"0e0f0a0b-1c2d-4e3f-8a9b-{number:012x}", tool_name="get_weather")


def prediction_sent(nodes: int = 8) -> PredictionSent:
    ids = tuple(f"chatOpenAI_{number}" for number in range(nodes))
    edges = tuple(Edge(source, target) for source, target in itertools.pairwise(ids))
    return PredictionSent(
        chatflow_id=ID, chat_id=ID, type=OriginType.EXTERNAL, flow_graph=FlowGraph(nodes=ids, edges=edges)
    )


def stored_records(broker: InMemoryBroker, topic: str = EVENTS_TOPIC, *, control: bool = False) -> list[Record]:
    """The events, or the control records, of a topic."""
    reader = broker.open_reader()
    partitions = [TopicPartition(topic, number) for number in range(broker.partition_counts().get(topic, 0))]
    reader.assign(dict.fromkeys(partitions, 0))
    found: list[Record] = []
    while batch := reader.poll(timeout_seconds=0.0, max_records=10_000):
        found += batch
    reader.close()
    return [record for record in found if is_control(record) is control]


def is_control(record: Record) -> bool:
    return (record.value or b"")[:HEADER_BYTES] == MARKER + STATE.fingerprint


def states(broker: InMemoryBroker, topic: str = EVENTS_TOPIC) -> list[dict[str, Any]]:
    """What the streams told of themselves, in this order for each."""
    decoded = [codec.decode(record.value, catalog())[1] for record in stored_records(broker, topic, control=True)]
    return sorted(decoded, key=lambda record: (record["streamId"], record["sequence"]))


def stored(broker: InMemoryBroker, topic: str = EVENTS_TOPIC) -> list[dict[str, Any]]:
    """The records in the order of their sequence."""
    decoded = [codec.decode(record.value, catalog())[1] for record in stored_records(broker, topic)]
    return sorted(decoded, key=lambda record: (record["streamId"], record["sequence"]))


def wait_until(condition: Callable[[], object], *, timeout_seconds: float = 30.0) -> None:
    """Return as soon as the condition holds."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < deadline, f"the condition did not hold within {timeout_seconds:.0f} s"
        time.sleep(0.005)
