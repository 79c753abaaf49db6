from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flowise_telemetry_schemas import Catalog, Edge, FlowGraph, SchemaError, catalog
from flowise_telemetry_schemas.codec import decode, encode
from flowise_telemetry_schemas.events import CLASSES, EVENT_CLASSES
from flowise_telemetry_schemas.flow_graph import HAND_WRITTEN
from flowise_telemetry_schemas.generate import main
from tests.schemas.records import EVENTS, record_of

ENVELOPE = ["eventId", "occurredAt", "instanceId", "streamId", "sequence", "version"]


DROPPED = [f"dropped{reason}" for reason in ("QueueFull", "Invalid", "TooLarge", "Expired", "Closed", "Rejected")]


def test_the_five_events_and_the_control_record_have_the_documented_fields() -> None:
    newest = map(catalog().latest, catalog().names)
    assert {schema.event: [field.name for field in schema.fields] for schema in newest} == {
        "assistant_created": [*ENVELOPE, "assistantId", "assistantType"],
        "chatflow_created": [*ENVELOPE, "chatflowId", "flowGraph"],
        "prediction_sent": [*ENVELOPE, "chatflowId", "chatId", "type", "flowGraph"],
        "tool_created": [*ENVELOPE, "toolId", "toolName"],
        "vector_upserted": [*ENVELOPE, "chatflowId", "type", "flowGraph", "stopNodeId"],
        "stream_state": [*ENVELOPE, "numbered", "waiting", *DROPPED, "withheld", "ended"],
    }
    assert catalog().events == tuple(name for name in catalog().names if name != "stream_state")


def test_columns_are_the_snake_case_of_the_names() -> None:
    columns = [field.column for field in catalog().latest("vector_upserted").fields]
    assert columns[:3] == ["event_id", "occurred_at", "instance_id"]
    assert columns[-3:] == ["type", "flow_graph", "stop_node_id"]


def test_what_is_derived_is_up_to_date() -> None:
    assert main(["--check"]) == 0


def test_hand_written_classes_have_the_schemas_fields() -> None:
    graph = next(field for field in catalog().latest("prediction_sent").fields if field.name == "flowGraph")
    edges = graph.fields[1].items
    assert edges is not None
    assert set(HAND_WRITTEN) == {graph.type_name, edges.type_name}
    made = FlowGraph(nodes=("a_0",), edges=(Edge("a_0", "a_0"),)).properties()
    assert list(made) == [field.name for field in graph.fields]
    assert list(made["edges"][0]) == [field.name for field in edges.fields]


def test_every_class_is_found_by_its_name() -> None:
    assert set(EVENT_CLASSES) == set(catalog().events)
    assert set(CLASSES) == {"AssistantType", "Edge", "FlowGraph", "OriginType"}


def test_unknown_names_are_told_what_there_is() -> None:
    with pytest.raises(SchemaError, match=r"there are: assistant_created, .*vector_upserted"):
        catalog().latest("login")
    with pytest.raises(SchemaError, match="tool_created has no version 7; the latest is 1"):
        catalog().get("tool_created", 7)


def write_schemas(folder: Path, *sources: dict[str, Any]) -> Path:
    for number, source in enumerate(sources, start=1):
        file = folder / "tool_created" / f"v{number}.avsc"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(source), encoding="utf-8")
    return folder


def test_an_older_record_is_read_with_the_newest_fields(tmp_path: Path) -> None:
    first = dict(catalog().latest("tool_created").source)
    extra = {"name": "isPublic", "type": "boolean", "default": False}
    second = {**first, "fields": [*first["fields"], extra]}
    newer = Catalog.load(write_schemas(tmp_path, first, second))
    message = encode(catalog().latest("tool_created"), record_of(EVENTS[3]))
    schema, record = decode(message, newer)
    assert schema.version == 1
    assert record == record_of(EVENTS[3]) | {"isPublic": False}


def test_two_versions_must_differ_on_the_wire(tmp_path: Path) -> None:
    first = dict(catalog().latest("tool_created").source)
    with pytest.raises(SchemaError, match="same fingerprint"):
        Catalog.load(write_schemas(tmp_path, first, {**first, "doc": "only the words changed"}))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("v1.avsc", "{", "tool_created/v1.avsc: not JSON"),
        ("one.avsc", "{}", "a schema file is named v1.avsc"),
        ("v1.avsc", "{}", "tool_created v1: not a record schema of ours"),
        (
            "v1.avsc",
            '{"type":"record","name":"A","namespace":"n","fields":[{"name":"a","type":{"type":"map","values":"int"}}]}',
            "the type map is not allowed",
        ),
        (
            "v1.avsc",
            '{"type":"record","name":"A","namespace":"n","fields":[{"name":"a","type":"A"}]}',
            "the type A is not allowed",
        ),
        (
            "v1.avsc",
            '{"type":"record","name":"A","namespace":"n","fields":[{"name":5,"type":"int"}]}',
            "the name of a field must be a string",
        ),
        (
            "v1.avsc",
            '{"type":"record","name":"A","namespace":"n","fields":[{"name":"a","type":{"type":"enum","name":"E",'
            '"symbols":"AB"}}]}',
            "the symbols of an enum must be a list",
        ),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / "tool_created").mkdir()
    (tmp_path / "tool_created" / name).write_text(text, encoding="utf-8")
    with pytest.raises(SchemaError, match=message):
        Catalog.load(tmp_path)
