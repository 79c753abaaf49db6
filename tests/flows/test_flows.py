"""Exported flows, full of prompts and settings, through producer, Kafka and consumer: only their shape arrives.

The flows are made up here. ``FLOWISE_FLOWS=FOLDER`` runs the same on real ones: any ``*.json`` below the folder that
the app's "Export Chatflow" gave. With ``-s`` the counts are printed.
"""

# ruff: noqa: T201 - the counts are what one runs it on real flows for

from __future__ import annotations

import json
import os
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flowise_telemetry import (
    ChatflowCreated,
    FlowGraph,
    OriginType,
    PredictionSent,
    Telemetry,
    VectorUpserted,
)
from flowise_telemetry_cli.commands.demo.app import react_flow
from flowise_telemetry_consumer import replay
from flowise_telemetry_schemas import catalog
from flowise_telemetry_schemas.codec import decode
from flowise_telemetry_schemas.node_types import node_types
from flowise_telemetry_transport import Record, open_reader
from tests.consumer.sinks.roles import ReadableSink, open_readable
from tests.services.kafka import KafkaService

WINDOW = 10
"""No so many characters in a row of any prompt, label or setting may arrive."""
TABLES = ("chatflow_created", "vector_upserted", "prediction_sent")


@dataclass(frozen=True)
class Flow:
    """An exported flow and the id that it is sent under."""

    name: str
    exported: dict[str, Any]
    flow_id: str

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of nodes and of edges."""
        return len(self.exported["nodes"]), len(self.exported["edges"])


def flows() -> list[Flow]:
    folder = os.environ.get("FLOWISE_FLOWS")
    if folder is None:
        rng = random.Random(7)
        return [Flow(f"made up {number}", react_flow(rng), str(uuid.uuid4())) for number in range(5)]
    files = sorted(Path(folder).rglob("*.json"))
    assert files, f"no flows below {folder}"
    return [Flow(file.stem, json.loads(file.read_text(encoding="utf-8")), str(uuid.uuid4())) for file in files]


FLOWS = flows()
pytestmark = [pytest.mark.services, pytest.mark.xdist_group("flows")]  # the topic is filled once


def texts(node: Any) -> Iterator[str]:
    """Every string below a JSON value."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for value in node.values():
            yield from texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from texts(value)


def windows(text: str) -> set[str]:
    """Every run of ``WINDOW`` characters."""
    return {text[start : start + WINDOW] for start in range(len(text) - WINDOW + 1)}


def shape_texts() -> Iterator[str]:
    """What may arrive: node ids and the ends of edges."""
    for flow in FLOWS:
        yield from (node["id"] for node in flow.exported["nodes"])
        yield from (end for edge in flow.exported["edges"] for end in (edge["source"], edge["target"]))


@pytest.fixture(scope="module")
def forbidden() -> set[str]:
    """All runs of characters in prompts, labels and settings, but for those that node ids consist of."""
    allowed = set().union(*map(windows, shape_texts()))
    found: set[str] = set()
    for flow in FLOWS:
        for text in texts(flow.exported):
            found |= windows(text)
    return found - allowed


@pytest.fixture(scope="module")
def topic(kafka: KafkaService, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A topic with three events of each flow, sent as an app would."""
    name = kafka.new_topic()
    config = tmp_path_factory.mktemp("config")
    with Telemetry(
        app_version="3.0.1",
        bootstrap_servers=",".join(kafka.bootstrap_servers),
        topic=name,
        strict=True,
        environ={"XDG_CONFIG_HOME": str(config)},
        first_run_notice=False,
    ) as telemetry:
        for flow in FLOWS:
            graph = FlowGraph.from_react_flow(flow.exported["nodes"], flow.exported["edges"])
            telemetry.send_telemetry(ChatflowCreated(chatflow_id=flow.flow_id, flow_graph=graph))
            telemetry.send_telemetry(
                VectorUpserted(
                    chatflow_id=flow.flow_id, type=OriginType.INTERNAL, flow_graph=graph, stop_node_id=graph.nodes[0]
                )
            )
            telemetry.send_telemetry(
                PredictionSent(
                    chatflow_id=flow.flow_id, chat_id=str(uuid.uuid4()), type=OriginType.EXTERNAL, flow_graph=graph
                )
            )
        assert telemetry.flush(timeout_seconds=30)
        assert telemetry.stats().sent == 3 * len(FLOWS)
    return name


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def sink(
    request: pytest.FixtureRequest, kafka: KafkaService, topic: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ReadableSink]:
    """A sink that the topic was brought into."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('sink')}/flows.db"
    else:
        url = request.getfixturevalue("postgres").new_database()
    target = open_readable(url)
    reader = open_reader(kafka.settings())
    result = replay(reader, target, catalog(), topic)
    reader.close()
    assert result.complete
    assert not result.dead
    yield target
    target.close()


def records(kafka: KafkaService, topic: str) -> list[Record]:
    reader = open_reader(kafka.settings())
    partitions = reader.partitions_of(topic)
    ends = reader.end_offsets(partitions)
    reader.assign(reader.beginning_offsets(partitions))
    found: list[Record] = []
    while any(reader.position(partition) < end for partition, end in ends.items()):
        found += reader.poll(timeout_seconds=1.0, max_records=1_000)
    reader.close()
    return found


def test_every_flow_arrives_in_every_table(sink: ReadableSink) -> None:
    rows = {table: sum(frame.height for frame in sink.read(table)) for table in TABLES}
    print(f"\n{sink.url.partition(':')[0]}: {rows}")
    assert rows == dict.fromkeys(TABLES, len(FLOWS))


def test_nodes_and_edges_in_the_sink_are_those_of_the_files(sink: ReadableSink) -> None:
    expected = {flow.flow_id: flow.shape for flow in FLOWS}
    for table in TABLES:
        shapes: dict[str, tuple[int, int]] = {}
        for frame in sink.read(table):
            for row in frame.iter_rows(named=True):
                graph = row["flow_graph"]
                shapes[row["chatflow_id"]] = len(graph["nodes"]), len(graph["edges"])
        assert shapes == expected
    print(f"\n{len(FLOWS)} flows, nodes and edges: {sorted(expected.values())}")


def test_no_text_of_a_flow_is_in_the_topics_bytes(kafka: KafkaService, topic: str) -> None:
    shape = "\n".join(shape_texts())
    wanted = {text for flow in FLOWS for text in texts(flow.exported) if len(text) >= WINDOW and text not in shape}
    found = records(kafka, topic)
    assert len(found) == 3 * len(FLOWS) + 1  # and what the stream tells of itself
    bytes_of_topic = b"\n".join(
        part
        for record in found
        for part in (record.key or b"", record.value or b"", *(value or b"" for _, value in record.headers))
    )
    assert [text for text in wanted if text.encode() in bytes_of_topic] == []
    print(f"\n{len(wanted)} texts looked for in {len(bytes_of_topic)} bytes of {len(found)} records: none found")


def test_no_piece_of_a_text_is_in_any_field(kafka: KafkaService, topic: str, forbidden: set[str]) -> None:
    # In the decoded fields, as a length byte and a node id may together look like a piece of a setting.
    for record in records(kafka, topic):
        assert not record.headers
        _, fields = decode(record.value, catalog())
        for text in texts(fields):
            assert not windows(text) & forbidden
    print(f"\n{len(forbidden)} runs of {WINDOW} characters looked for in every field: none found")


def test_nothing_else_of_a_flow_is_in_the_sink(sink: ReadableSink, forbidden: set[str]) -> None:
    for table in TABLES:
        for frame in sink.read(table):
            for row in frame.iter_rows():
                for text in texts(list(map(_plain, row))):
                    assert not windows(text) & forbidden


def _plain(value: Any) -> Any:
    return value if isinstance(value, dict | list | str) else str(value)


def test_the_search_would_find_a_prompt(forbidden: set[str]) -> None:
    settings = (node["data"].get("inputs", {}) for flow in FLOWS for node in flow.exported["nodes"])
    prompt = max((text for inputs in settings for text in texts(inputs)), key=len)
    assert windows(f"before {prompt} after") & forbidden


def test_every_type_of_node_is_in_the_vocabulary() -> None:
    found = {node["id"].rpartition("_")[0] for flow in FLOWS for node in flow.exported["nodes"]}
    assert found
    if "FLOWISE_FLOWS" in os.environ:  # made-up ones have made-up types
        assert found <= node_types()
