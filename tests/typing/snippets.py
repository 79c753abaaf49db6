"""Uses of the public API that a type checker must accept, and misuses that it must refuse.

Each misuse is one line, so that a checker's error can be told to be about it.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["ACCEPTED", "REFUSED"]

ACCEPTED: Mapping[str, str] = {
    "producer": """
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from typing import ClassVar
from typing import assert_type

import flowise_telemetry
from flowise_telemetry import (
    AssistantCreated,
    ChatflowCreated,
    ConfigurationError,
    Consent,
    DropReason,
    Edge,
    Event,
    FlowGraph,
    Limits,
    OriginType,
    PredictionSent,
    Stats,
    Telemetry,
    TelemetryError,
    ToolCreated,
    ValidationError,
    VectorUpserted,
)



@dataclass(frozen=True, slots=True, kw_only=True)
class VariableCreated:  # as `schemas generate` makes it
    EVENT: ClassVar[str] = "variable_created"
    TYPES: ClassVar[dict[str, Any]] = {}
    version: str | None = None
    count: int

    def properties(self) -> dict[str, Any]:
        return {"version": self.version, "count": self.count}


dropped: list[str] = []


def on_drop(reason: DropReason, event: str | None) -> None:
    dropped.append(f"{reason.value} {event}")


telemetry = Telemetry(
    app_version="3.0.1",
    bootstrap_servers="localhost:9092",
    topic="events",
    strict=True,
    enabled=None,
    env_file=Path(".env"),
    environ={"DO_NOT_TRACK": "1"},
    limits=Limits(buffer_max_events=10, max_age_seconds=1.5),
    on_drop=on_drop,
    spool_dir="spool",
    ledger_path=Path("ledger"),
    first_run_notice=False,
    flush_on_sigterm=True,
    schemas=Path("events"),
)
exported: dict[str, list[dict[str, Any]]] = {"nodes": [{"id": "a_0"}], "edges": []}
graph = FlowGraph.from_react_flow(exported["nodes"], exported["edges"])
assert_type(graph, FlowGraph)
assert_type(graph.nodes, tuple[str, ...])
assert_type(graph.edges, tuple[Edge, ...])
events: list[Event] = [
    AssistantCreated(assistant_id="a"),
    ChatflowCreated(chatflow_id="a", flow_graph=graph, version="1.0"),
    PredictionSent(chatflow_id="a", chat_id="a", type=OriginType.EXTERNAL, flow_graph=FlowGraph((), ())),
    ToolCreated(tool_id="a", tool_name="b"),
    VectorUpserted(chatflow_id="a", type=OriginType("INTERNAL"), flow_graph=graph, stop_node_id=None),
]
for event in events:
    telemetry.send_telemetry(event)
telemetry.send_telemetry(VariableCreated(count=1))
assert_type(telemetry.flush(), bool)
assert_type(telemetry.flush(timeout_seconds=1), bool)
assert_type(telemetry.active, bool)
assert_type(telemetry.consent, Consent)
assert_type(telemetry.consent.decided_by, str)
stats = telemetry.stats()
assert_type(stats, Stats)
assert_type(stats.sent, int)
assert_type(stats.dropped.get("queue_full", 0), int)
assert_type(stats.dropped_events, int)
assert_type(flowise_telemetry.__version__, str)
telemetry.close(timeout_seconds=1.0)
with Telemetry(app_version="1.0") as entered:
    assert_type(entered, Telemetry)
try:
    telemetry.send_telemetry(events[0])
except ValidationError as error:
    assert_type(error.event, str | None)
    assert_type(error.field, str | None)
except (ConfigurationError, TelemetryError) as other:
    assert_type(other.retryable, bool)
""",
    "testing": """
from flowise_telemetry.testing import RecordedEvent, TelemetryRecorder


def test_an_app(telemetry_recorder: TelemetryRecorder) -> None:
    telemetry_recorder.telemetry.send_telemetry(ToolCreated(tool_id="a", tool_name="b"))
    assert_type(telemetry_recorder.assert_sent("tool_created", times=1, toolName="b"), list[RecordedEvent])
    assert_type(telemetry_recorder.assert_sent(ToolCreated(tool_id="a", tool_name="b")), list[RecordedEvent])
    assert_type(telemetry_recorder.events("tool_created")[0].properties, dict[str, Any])
    telemetry_recorder.assert_nothing_sent()
    telemetry_recorder.clear()


with TelemetryRecorder(app_version="1.0", strict=False) as recorder:
    assert_type(recorder, TelemetryRecorder)
""",
    "consumer": """
import threading

from flowise_telemetry_consumer import (
    BatchLimits,
    Consumer,
    ConsumerSettings,
    ReplayRequest,
    ReplayResult,
    RunControl,
    replay,
)
from flowise_telemetry_consumer.dead_letter import DeadLetter
from flowise_telemetry_consumer.decoding.decoder import Decoded, Decoder
from flowise_telemetry_consumer.sinks import Sink, open_sink
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport import InMemoryBroker, KafkaSettings, Record, open_reader, open_writer

broker = InMemoryBroker()
settings = ConsumerSettings(topic="events", group="one", batch=BatchLimits(rows=1_000, age_seconds=60))
opened = open_sink("sqlite:///events.db")
assert_type(opened, Sink)
consumer = Consumer(broker.open_reader(group="one"), opened, broker.open_writer(), catalog(), settings)
consumer.run(threading.Event())
kafka = KafkaSettings(bootstrap_servers=("localhost:9092",))
real = Consumer(open_reader(kafka, group="one"), opened, open_writer(kafka), catalog())
control = RunControl(no_progress_seconds=5, stop=threading.Event())
assert_type(
    replay(broker.open_reader(), opened, catalog(), "events", restart=True, control=control),
    ReplayResult,
)
assert_type(replay(broker.open_reader(), opened, catalog(), ReplayRequest(partitions=(0, 1))), ReplayResult)
records: list[Record] = []
decoded = Decoder(catalog(), block_rows=100).decode(records)
assert_type(decoded, Decoded)
assert_type(decoded.rows, int)
for dead_letter in decoded.dead:
    assert_type(dead_letter, DeadLetter)
""",
    "sink of one's own": """
from collections.abc import Iterable

from flowise_telemetry_consumer.sinks import Batch, KeepsProgress, Readable, SinkKind, SourceProgress, WriteResult
from flowise_telemetry_schemas import EventSchema
from flowise_telemetry_transport import TopicPartition


class CountingSink:
    def __init__(self, url: str) -> None:
        self.url = url
        self.rows = 0

    def prepare(self, schemas: Iterable[EventSchema]) -> None: ...

    def write(self, batch: Batch) -> WriteResult:
        written = {event: frame.height for event, frame in batch.frames.items()}
        self.rows += sum(written.values())
        return WriteResult(written=written, duplicates={})

    def close(self) -> None: ...


class ProgressSink(CountingSink):
    def claim(
        self, source: str, partitions: Iterable[TopicPartition], *, description: str = ""
    ) -> dict[TopicPartition, int]:
        return {}

    def progress(self) -> list[SourceProgress]:
        return []

    def lock(self, name: str) -> None: ...


class SinkWithoutWrite:
    url = "nowhere:"

    def prepare(self, schemas: Iterable[EventSchema]) -> None: ...

    def close(self) -> None: ...


counting: Sink = CountingSink("counting:")
keeping: KeepsProgress = ProgressSink("counting:")
kind = SinkKind(scheme="counting", open=CountingSink, example="counting:", writers="one")
assert_type(kind.open("counting:"), Sink)
if isinstance(opened, Readable):
    assert_type(opened.counts(), dict[str, int])
""",
}

REFUSED: Mapping[str, str] = {
    # events
    "number for an id": 'ToolCreated(tool_id=7, tool_name="b")',
    "None for an id": "AssistantCreated(assistant_id=None)",
    "missing field": 'ToolCreated(tool_id="a")',
    "unknown field": 'ToolCreated(tool_id="a", tool_name="b", prompt="c")',
    "field named as on the wire": 'AssistantCreated(assistantId="a")',
    "positional event": 'ToolCreated("a", "b")',
    "string for an enum": 'PredictionSent(chatflow_id="a", chat_id="a", type="EXTERNAL", flow_graph=graph)',
    "unknown enum member": "OriginType.BOTH",
    "exported flow for a graph": 'ChatflowCreated(chatflow_id="a", flow_graph={"nodes": [], "edges": []})',
    "list for nodes": 'FlowGraph(nodes=["a_0"], edges=())',
    "pair for an edge": 'FlowGraph(nodes=("a_0", "b_0"), edges=(("a_0", "b_0"),))',
    "number for a flow": "FlowGraph.from_react_flow(7)",
    "event changed after it was made": 'ToolCreated(tool_id="a", tool_name="b").tool_name = "c"',
    # telemetry
    "no app version": "Telemetry()",
    "positional app version": 'Telemetry("3.0.1")',
    "unknown setting": 'Telemetry(app_version="1.0", servers="localhost:9092")',
    "list of servers": 'Telemetry(app_version="1.0", bootstrap_servers=["localhost:9092"])',
    "unknown limit": "Limits(buffer_max=10)",
    "positional limit": "Limits(10)",
    "callback of another shape": 'Telemetry(app_version="1.0", on_drop=lambda: None)',
    "dict for an event": 'telemetry.send_telemetry({"event": "tool_created"})',
    "class for an event": "telemetry.send_telemetry(ToolCreated)",
    "result of sending": "sent: bool = telemetry.send_telemetry(events[0])",
    "positional time of close": "telemetry.close(1.0)",
    "text for a time": 'telemetry.flush("5")',
    "unknown count": "telemetry.stats().lost",
    "count changed": "telemetry.stats().sent = 0",
    "name that is not public": "flowise_telemetry.Sender",
    # tests of an app
    "number for an event name": "recorder.assert_sent(7)",
    "text for a number of times": 'recorder.assert_sent("tool_created", times="twice")',
    "unknown property of a record": "recorder.events()[0].toolName",
    # consumer
    "consumer without a sink": "Consumer(broker.open_reader(), broker.open_writer(), catalog())",
    "reader for a writer": "Consumer(broker.open_reader(), opened, broker.open_reader(), catalog())",
    "URL for a sink": 'Consumer(broker.open_reader(), "sqlite:///events.db", broker.open_writer(), catalog())',
    "unknown setting of the consumer": "ConsumerSettings(batch_rows=100)",
    "positional setting of the consumer": 'ConsumerSettings("events")',
    "number for batch limits": "ConsumerSettings(batch=1_000)",
    "no stop event": "consumer.run()",
    "partition for partitions": "ReplayRequest(partitions=3)",
    "text for a bound": 'ReplayRequest(begin="2d ago")',
    "positional option of a replay": 'replay(broker.open_reader(), opened, catalog(), "events", None)',
    "bytes for records": 'Decoder(catalog()).decode(b"")',
    "positional block size": "Decoder(catalog(), 100)",
    # a sink of one's own
    "sink without write": "refused_sink: Sink = SinkWithoutWrite()",
    "sink without progress": 'refused_keeper: KeepsProgress = CountingSink("counting:")',
    "role that was not asked for": "CountingSink('counting:').counts()",
    "unknown number of writers": 'SinkKind(scheme="s", open=CountingSink, example="s:", writers="several")',
    "open that makes no sink": 'SinkKind(scheme="s", open=str, example="s:", writers="one")',
    "bytes for frames": 'Batch(frames={"tool_created": b""})',
}
