"""What an event may not tell is taken out of it, and counted; the event is sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from flowise_telemetry import (
    ConfigurationError,
    Edge,
    Event,
    FlowGraph,
    OriginType,
    PredictionSent,
    ToolCreated,
    VectorUpserted,
)
from flowise_telemetry.content import Content
from flowise_telemetry.encoding.encoder import Encoder
from flowise_telemetry.identity.instance_id import InstanceId
from flowise_telemetry_schemas import catalog, codec
from flowise_telemetry_transport import InMemoryBroker
from tests.producer.conftest import MakeTelemetry
from tests.producer.samples import ID, states, stored, tool_created

STREAM = "1e0f0a0b-1c2d-4e3f-8a9b-0123456789ab"
DECEMBER_MS, JANUARY_MS = 1_796_083_200_000, 1_798_761_600_000


def sent(event: Event, content: Content | None = None, at_ms: int = DECEMBER_MS) -> tuple[dict[str, Any], list[str]]:
    """The record that leaves, and what was withheld."""
    encoded = Encoder("3.0.1", InstanceId(b"secret"), STREAM, content).encode(event, 0, at_ms)
    return codec.decode(encoded.value, catalog())[1], [f"{path}: {rule}" for path, rule in encoded.withheld]


def prediction(*nodes: str, edges: Mapping[str, str] | None = None, chat_id: str = ID) -> PredictionSent:
    graph = FlowGraph(nodes, tuple(Edge(*ends) for ends in (edges or {}).items()))
    return PredictionSent(chatflow_id=ID, chat_id=chat_id, type=OriginType.EXTERNAL, flow_graph=graph)


# -- node ids -----------------------------------------------------------------------------------------------------


def test_nodes_of_no_known_type_are_numbered_one_to_one() -> None:
    event = prediction(
        "my secret prompt_0",
        "chatOpenAI_1",
        "janeDoe_0",
        "csvAgent_0",
        "chatOpenAI",
        edges={"janeDoe_0": "chatOpenAI_1", "my secret prompt_0": "janeDoe_0"},
    )
    record, withheld = sent(event)
    assert record["flowGraph"] == {
        "nodes": ["other_0", "chatOpenAI_1", "other_1", "csvAgent_0", "other_2"],
        "edges": [{"source": "other_1", "target": "chatOpenAI_1"}, {"source": "other_0", "target": "other_1"}],
    }
    assert withheld == ["flowGraph.nodes: unknown_type"] * 3


def test_a_number_that_may_be_anything_is_replaced_by_the_next_free_one() -> None:
    record, withheld = sent(
        prediction("chatOpenAI_0", "chatOpenAI_4930123456", "chatOpenAI_007", "chatOpenAI_1", "chatOpenAI_999")
    )
    nodes = record["flowGraph"]["nodes"]
    assert nodes == ["chatOpenAI_0", "chatOpenAI_2", "chatOpenAI_3", "chatOpenAI_1", "chatOpenAI_999"]
    assert withheld == ["flowGraph.nodes: number"] * 2


def test_the_stop_node_has_the_name_that_it_has_in_the_graph() -> None:
    graph = FlowGraph(("ours_0", "theirs_0"), (Edge("ours_0", "theirs_0"),))
    event = VectorUpserted(chatflow_id=ID, type=OriginType.INTERNAL, flow_graph=graph, stop_node_id="theirs_0")
    record, withheld = sent(event)
    assert record["stopNodeId"] == "other_1"
    assert len(withheld) == 2
    assert sent(event, Content(own_node_types=frozenset({"theirs"})))[0]["stopNodeId"] == "theirs_0"


def test_a_text_cut_into_node_ids_is_not_in_the_record() -> None:
    words = [f"{word}{number}_0" for number in range(100) for word in ("the", "Prompt", "says")]
    record, _ = sent(prediction(*words))
    assert record["flowGraph"]["nodes"] == [f"other_{number}" for number in range(len(words))]


def test_an_app_gives_its_own_types_by_argument_or_file(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, environ: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "types").write_text("theirStore\n")
    environ["FLOWISE_TELEMETRY_NODE_TYPES"] = str(tmp_path / "types")
    for settings in ({"node_types": ["ourStore"]}, {}):
        telemetry = make_telemetry(topic=f"topic{len(settings)}", **settings)
        telemetry.send_telemetry(prediction("ourStore_0", "theirStore_0"))
        assert telemetry.flush(5.0)
    assert stored(broker, "topic1")[0]["flowGraph"]["nodes"] == ["ourStore_0", "other_0"]
    assert stored(broker, "topic0")[0]["flowGraph"]["nodes"] == ["other_0", "theirStore_0"]


# -- names of tools -----------------------------------------------------------------------------------------------

FUNCTIONS = """
    get_weather getWeather2 sha256_hash text2sql get3DModel top_10_items http_404 SEND_EMAIL base64 oauth2Login
    s3-upload a_tool get_weather_v2 getURLFromS3 xmlHttpRequest postgresql_query html_to_text get_current_datetime
    query_vector_db google_calendar_create_event slackPostMessage calculator keyword_search secret_santa
    rss_feed_reader gpt4_summary
"""
CREDENTIALS = {
    "two words": "not_a_name",
    "": "not_a_name",
    "x" * 65: "not_a_name",
    "call_4930123456": "not_a_name",
    "sk_" + "live" + "_abcdefgh": "credential",
    "ghp_" + "abcdefghijkl": "credential",
    "AKIA" + "ABCDEF": "credential",
    "card_411_111_111": "digits",
    "cafe12ab": "hex",
    "deadbeefdeadbeef": "hex",
    "hQkTxZqWvB": "random",
    "qwrtzpsdfg": "random",
}


@pytest.mark.parametrize("name", FUNCTIONS.split())
def test_the_names_of_functions_are_sent(name: str) -> None:
    record, withheld = sent(ToolCreated(tool_id=ID, tool_name=name))
    assert (record["toolName"], withheld) == (name, [])


@pytest.mark.parametrize("name", CREDENTIALS)
def test_what_may_be_a_credential_is_withheld_and_counted(name: str) -> None:
    record, withheld = sent(ToolCreated(tool_id=ID, tool_name=name))
    assert record["toolName"] is None
    assert withheld == [f"toolName: {CREDENTIALS[name]}"]


def test_names_can_be_off() -> None:
    record, withheld = sent(ToolCreated(tool_id=ID, tool_name="get_weather"), Content(tool_names=False))
    assert (record["toolName"], withheld) == (None, ["toolName: off"])
    record, withheld = sent(ToolCreated(tool_id=ID, tool_name=None))
    assert (record["toolName"], withheld) == (None, [])


# -- ids ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chat_id", ["jane.doe@example.com", "+49 30 123456", "", "\ud800", ID + "\n", "x" * 10_000])
def test_a_chat_id_that_is_no_uuid_is_hashed_with_the_months_key(chat_id: str) -> None:
    found = [sent(prediction(chat_id=chat_id), at_ms=at_ms) for at_ms in (DECEMBER_MS, DECEMBER_MS + 1, JANUARY_MS)]
    ids = [record["chatId"] for record, _ in found]
    assert re.fullmatch("[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", ids[0])
    assert ids[0] == ids[1] != ids[2]
    assert [withheld for _, withheld in found] == [["chatId: not_a_uuid"]] * 3


def test_ids_are_hashed_where_one_says_so_and_equal_within_a_month() -> None:
    content = Content(hash_ids=True)
    first, withheld = sent(prediction(), content)
    again, _ = sent(prediction(), content)
    later, _ = sent(prediction(), content, JANUARY_MS)
    assert withheld == []
    assert first["chatflowId"] == again["chatflowId"] != later["chatflowId"]
    assert first["chatflowId"] == first["chatId"]  # the same id, wherever it stands
    assert ID not in (first["chatflowId"], later["chatflowId"])
    assert sent(prediction(), Content())[0]["chatflowId"] == ID


def test_one_encoder_over_a_months_end_hashes_anew() -> None:
    encoder = Encoder("3.0.1", InstanceId(b"secret"), STREAM, Content(hash_ids=True))
    moments = (DECEMBER_MS, JANUARY_MS, DECEMBER_MS)
    values = [encoder.encode(prediction(), 0, at_ms).value for at_ms in moments]
    ids = [codec.decode(value, catalog())[1]["chatflowId"] for value in values]
    assert ids == [sent(prediction(), Content(hash_ids=True), at_ms)[0]["chatflowId"] for at_ms in moments]


def test_a_uuid_in_capitals_is_the_same_id() -> None:
    record, withheld = sent(prediction(chat_id=ID.upper()))
    assert (record["chatId"], withheld) == (ID, [])


# -- the rest -----------------------------------------------------------------------------------------------------


def test_a_wrong_type_where_nothing_may_stand_costs_the_value_alone() -> None:
    odd: Any = 7
    event = VectorUpserted(chatflow_id=ID, type=OriginType.INTERNAL, flow_graph=FlowGraph((), ()), stop_node_id=odd)
    record, withheld = sent(event)
    assert (record["stopNodeId"], withheld) == (None, ["stopNodeId: type"])


def test_the_version_of_an_event_is_normalised() -> None:
    assert sent(ToolCreated(version="v2.1rc1", tool_id=ID, tool_name=None))[0]["version"] == "2.1.0-rc.1"


def test_the_stricter_of_argument_and_environment_counts(tmp_path: Path) -> None:
    assert Content.read({}) == Content()
    assert Content.read({"FLOWISE_TELEMETRY_IDS": " Hashed "}, ids="plain").hash_ids
    assert Content.read({"FLOWISE_TELEMETRY_IDS": "plain"}, ids="hashed").hash_ids
    assert not Content.read({"FLOWISE_TELEMETRY_TOOL_NAMES": "off"}, tool_names="plain").tool_names
    with pytest.raises(ConfigurationError, match="ids is neither plain nor hashed") as caught:
        Content.read({"FLOWISE_TELEMETRY_IDS": "hash"})
    assert caught.value.argument == "ids"


def test_what_cannot_be_understood_withholds_as_much_as_there_is(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, environ: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    environ["FLOWISE_TELEMETRY_IDS"] = "hash"
    telemetry = make_telemetry()
    telemetry.send_telemetry(tool_created())
    assert telemetry.flush(5.0)
    (record,) = stored(broker)
    assert record["toolName"] is None
    assert record["toolId"] != tool_created().tool_id
    assert "ids is neither plain nor hashed" in caplog.text
    with pytest.raises(ConfigurationError, match="ids is neither"):
        make_telemetry(strict=True)


def test_streams_and_statistics_tell_what_was_withheld(make_telemetry: MakeTelemetry, broker: InMemoryBroker) -> None:
    telemetry = make_telemetry()
    for name in ("two words", "get_weather", "three words too"):
        telemetry.send_telemetry(ToolCreated(tool_id=ID, tool_name=name))
    telemetry.send_telemetry(prediction("ours_0", chat_id="x"))
    telemetry.close()
    (state,) = states(broker)
    assert [tuple(row.values()) for row in state["withheld"]] == [
        ("prediction_sent", "chatId", "not_a_uuid", 1),
        ("prediction_sent", "flowGraph.nodes", "unknown_type", 1),
        ("tool_created", "toolName", "not_a_name", 2),
    ]
    assert telemetry.stats().withheld == {
        "tool_created.toolName: not_a_name": 2,
        "prediction_sent.chatId: not_a_uuid": 1,
        "prediction_sent.flowGraph.nodes: unknown_type": 1,
    }
    assert telemetry.stats().sent == 4
