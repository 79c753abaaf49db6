from __future__ import annotations

import json
from typing import Any

import pytest

from flowise_telemetry_schemas import (
    Event,
    OriginType,
    ValidationError,
    catalog,
    event_from_json,
    event_to_json,
    record_to_json,
)
from tests.schemas.records import CHAT_ID, EVENTS, FLOW_ID, record_of


def prediction(origin: object) -> dict[str, Any]:
    document = event_to_json(EVENTS[2])
    document["properties"]["type"] = origin
    return document


TOOL: dict[str, Any] = {"version": "3.0.1", "toolId": FLOW_ID, "toolName": "get_weather"}


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.EVENT)
def test_an_event_survives_json(event: Event) -> None:
    assert event_from_json(json.loads(json.dumps(event_to_json(event)))) == event


def test_both_spellings_of_the_flows_id_are_read_and_one_is_written() -> None:
    document = event_to_json(EVENTS[1])
    properties = document["properties"]
    properties["chatlowId"] = properties.pop("chatflowId")
    assert event_from_json(document) == EVENTS[1]
    assert "chatflowId" in event_to_json(event_from_json(document))["properties"]


def test_both_spellings_at_once_are_refused() -> None:
    document = event_to_json(EVENTS[1])
    document["properties"]["chatlowId"] = CHAT_ID
    with pytest.raises(ValidationError, match="chatlowId: stands for chatflowId, which is given too"):
        event_from_json(document)


def test_the_version_may_be_left_to_the_producer() -> None:
    event = event_from_json({"event": "tool_created", "properties": {"toolId": FLOW_ID, "toolName": "a"}})
    assert event.version is None
    assert "version" not in event_to_json(event)["properties"]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (None, "must be an object"),
        ([], "must be an object"),
        ({"properties": {}}, "event: is missing"),
        ({"event": "tool_created"}, "properties: is missing"),
        ({"event": "tool_created", "properties": TOOL, "key": 1}, "a key beside event and properties"),
        ({"event": "login", "properties": {}}, "event: must be one of assistant_created, "),
        ({"event": ["x"], "properties": {}}, "event: must be one of"),
        ({"event": "tool_created", "properties": None}, "must be a record"),
        ({"event": "tool_created", "properties": TOOL | {"toolName": "a b"}}, "toolName: must match"),
        ({"event": "tool_created", "properties": TOOL | {"toolName": 7}}, "toolName: must be a string"),
        ({"event": "tool_created", "properties": TOOL | {"prompt": "x"}}, r"\(a name of no field\): is not a field"),
        ({"event": "tool_created", "properties": TOOL | {"eventId": "x"}}, "eventId: is not a field"),
        ({"event": "tool_created", "properties": {"toolName": "a"}}, "toolId: is missing"),
    ],
)
def test_a_bad_document_names_field_and_rule(document: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        event_from_json(document)


@pytest.mark.parametrize("named", ["SCHEDULED", "WEBHOOK", "EVALUATION", "MCP"])
def test_where_a_question_came_from_is_kept(named: str) -> None:
    assert event_to_json(event_from_json(prediction(named))) == prediction(named)


@pytest.mark.parametrize("named", ["TELEPATHY", "internal", "", "What is the capital of France?"])
def test_a_type_that_no_schema_lists_becomes_other(named: str) -> None:
    assert event_to_json(event_from_json(prediction(named))) == prediction("OTHER")
    assert OriginType(named) is OriginType.OTHER


def test_a_type_that_is_no_text_is_refused() -> None:
    with pytest.raises(ValidationError, match="type: must be one of INTERNAL"):
        event_from_json(prediction(5))
    number: Any = 5
    with pytest.raises(ValueError, match="5 is not a valid OriginType"):
        OriginType(number)


def test_what_the_producer_withholds_is_left_to_it_without_bounds() -> None:
    odd = {"toolId": FLOW_ID, "toolName": "my api key is x"}
    event = event_from_json({"event": "tool_created", "properties": odd}, bounds=False)
    assert event.properties()["toolName"] == "my api key is x"
    graph = {"nodes": ["a b", "c"], "edges": [{"source": "a b", "target": "c"}]}
    flow = {"chatflowId": FLOW_ID, "chatId": "jane@example.com", "type": "EXTERNAL", "flowGraph": graph}
    event = event_from_json({"event": "prediction_sent", "properties": flow}, bounds=False)
    assert event.properties()["flowGraph"] == graph
    for broken in (odd | {"toolId": "x"}, odd | {"toolName": 7}, odd | {"prompt": "x"}):
        with pytest.raises(ValidationError):
            event_from_json({"event": "tool_created", "properties": broken}, bounds=False)


def test_a_record_has_its_time_as_text() -> None:
    shown = record_to_json(catalog().latest("assistant_created"), record_of(EVENTS[0]))
    assert shown["event"] == "assistant_created"
    assert shown["properties"]["occurredAt"] == "2023-11-14T22:13:20.123Z"
    assert json.loads(json.dumps(shown)) == shown
