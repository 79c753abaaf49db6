"""The short cut and the codec give the same bytes, or the codec has the say."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowise_telemetry import (
    AssistantCreated,
    AssistantType,
    ChatflowCreated,
    Edge,
    Event,
    FlowGraph,
    OriginType,
    PredictionSent,
    ToolCreated,
    ValidationError,
    VectorUpserted,
)
from flowise_telemetry.content import Content
from flowise_telemetry.encoding.compiled import CompiledEncoder
from flowise_telemetry.encoding.encoder import Encoded, Encoder
from flowise_telemetry.encoding.withholding import Withholding
from flowise_telemetry.identity.instance_id import InstanceId
from flowise_telemetry_schemas import catalog, codec
from flowise_telemetry_schemas.node_types import node_types
from tests.producer.samples import ID, prediction_sent, tool_created

STREAM = "1e0f0a0b-1c2d-4e3f-8a9b-0123456789ab"
NOW_MS = 1_767_225_600_000

uuids = st.uuids().map(str)
known_ids = st.builds("{}_{}".format, st.sampled_from(sorted(node_types())), st.integers(0, 999))
node_ids = known_ids | st.from_regex(r"\A[a-z]{1,9}([A-Z][a-z]{0,9}){0,3}_(0|[1-9][0-9]{0,2})\Z") | st.text(max_size=9)
edges = st.builds(Edge, node_ids, node_ids)
graphs = st.builds(
    lambda nodes, edges: FlowGraph(tuple(nodes), tuple(edges)), st.lists(node_ids), st.lists(edges, max_size=5)
)
origins = st.sampled_from(OriginType)
versions = st.none() | st.sampled_from(["3.0.1", "1.2.0", "10.20.30-beta.1"])
tool_names = st.from_regex(r"\A[a-z]{1,10}([A-Z][a-z]{0,9})?(_[a-z]{1,5})?\Z") | st.text(max_size=9) | st.none()
given_ids = uuids | st.text(max_size=40)
valid: st.SearchStrategy[Event] = st.one_of(
    st.builds(AssistantCreated, version=versions, assistant_id=uuids, assistant_type=st.sampled_from(AssistantType)),
    st.builds(ToolCreated, version=versions, tool_id=uuids, tool_name=tool_names),
    st.builds(ChatflowCreated, version=versions, chatflow_id=uuids, flow_graph=graphs),
    st.builds(
        PredictionSent,
        version=versions,
        chatflow_id=uuids,
        chat_id=given_ids,
        type=origins | origins.map(str),
        flow_graph=graphs,
    ),
    st.builds(
        VectorUpserted,
        version=versions,
        chatflow_id=uuids,
        type=origins,
        flow_graph=graphs,
        stop_node_id=st.none() | node_ids,
    ),
)
odd: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.just(ID.upper()),
    st.just(ID + "\n"),
    st.lists(st.text()),
    st.dictionaries(st.text(), st.text()),
)


contents = st.sampled_from([Content(), Content(hash_ids=True), Content(tool_names=False)])


def encoder(app_version: str = "3.0.1", content: Content | None = None) -> Encoder:
    return Encoder(app_version, InstanceId(b"secret"), STREAM, content)


def by_codec(event: Event, encoded_with: Encoded, sequence: int, content: Content) -> bytes:
    """The bytes of the same record, the id apart, made by the codec of what is left of it."""
    schema, record = encoder().record(event, sequence, NOW_MS)
    withheld = Withholding(content, InstanceId(b"secret")).apply(schema, record)
    record["eventId"] = codec.decode(encoded_with.value, catalog())[1]["eventId"]
    assert tuple(withheld) == tuple(encoded_with.withheld)
    return codec.encode(schema, record)


@given(valid, st.integers(min_value=0, max_value=2**53 - 1), contents)
def test_an_event_is_encoded_as_the_codec_does(event: Event, sequence: int, content: Content) -> None:
    ours = encoder(content=content)
    encoded = [ours.encode(event, sequence, NOW_MS) for _ in range(2)]
    for each in encoded:  # the second time from the caches
        assert each.value == by_codec(event, each, sequence, content)


@given(valid, st.data())
def test_an_event_with_an_odd_value_is_refused_or_the_same(event: Event, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(type(event).__slots__))
    broken = type(event)(**{**{slot: getattr(event, slot) for slot in type(event).__slots__}, name: data.draw(odd)})
    ours = encoder()
    schema, record = ours.record(broken, 3, NOW_MS)
    try:
        Withholding(Content(), InstanceId(b"secret")).apply(schema, record)
        codec.encode(schema, record)
    except ValidationError:
        with pytest.raises(ValidationError):
            ours.encode(broken, 3, NOW_MS)
    else:
        encoded = ours.encode(broken, 3, NOW_MS)
        assert encoded.value == by_codec(broken, encoded, 3, Content())


def test_every_event_of_the_catalog_has_its_short_cut() -> None:
    for event in catalog().events:
        CompiledEncoder(catalog().latest(event), app_version="3.0.1", stream_id=STREAM)


def test_what_plainly_may_be_sent_takes_the_short_cut() -> None:
    graph = FlowGraph(("chatOpenAI_0",), (Edge("chatOpenAI_0", "chatOpenAI_0"),))
    uuid_chat = PredictionSent(chatflow_id=ID, chat_id=ID, type=OriginType.EXTERNAL, flow_graph=graph)
    events: list[Event] = [
        AssistantCreated(assistant_id=ID),
        ToolCreated(tool_id=ID, tool_name="get_weather"),
        ChatflowCreated(chatflow_id=ID, flow_graph=graph),
        VectorUpserted(chatflow_id=ID, type=OriginType.INTERNAL, flow_graph=graph, stop_node_id="chatOpenAI_0"),
    ]
    for content in (Content(), Content(hash_ids=True)):
        chat_ids = [ID] if content.hash_ids else [ID, "of an API user"]
        for event in [*events, *(dataclasses.replace(uuid_chat, chat_id=chat_id) for chat_id in chat_ids)]:
            withholding = Withholding(content, InstanceId(b"secret"))
            fast = CompiledEncoder(
                catalog().latest(event.EVENT),
                app_version="3.0.1",
                stream_id=STREAM,
                withholding=withholding,
                in_month_ms=NOW_MS,
            )
            assert fast.encode(event, ID, NOW_MS, InstanceId(b"secret").at(NOW_MS), 0)


def test_an_app_version_that_breaks_the_schema_is_named() -> None:
    with pytest.raises(ValidationError, match="version"):
        encoder(app_version="main branch, dirty").encode(tool_created(), 0, NOW_MS)


def test_a_moment_out_of_bounds_is_refused() -> None:
    with pytest.raises(ValidationError, match="occurredAt"):
        encoder().encode(prediction_sent(), 0, 1)


def test_caches_do_not_grow_without_bound() -> None:
    ours = encoder()
    for number in range(10_000):
        ours.encode(ToolCreated(tool_id=ID, tool_name=f"tool{number % 1000}"), number, NOW_MS)
    value = ours.encode(ToolCreated(tool_id=ID, tool_name="tool0"), 1, NOW_MS).value
    assert codec.decode(value, catalog())[1]["toolName"] == "tool0"


def test_a_type_that_no_schema_lists_leaves_as_other() -> None:
    told: Any = "TELEPATHY"
    event = dataclasses.replace(prediction_sent(), type=told)
    encoded = encoder().encode(event, 0, NOW_MS)
    assert codec.decode(encoded.value, catalog())[1]["type"] == "OTHER"
    assert encoded.withheld == [("type", "unknown_symbol")]
    assert encoded.value == by_codec(event, encoded, 0, Content())
