"""Three installations in three months: what of one month can be joined with another, by any column of ids."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowise_telemetry import (
    AssistantCreated,
    ChatflowCreated,
    Event,
    FlowGraph,
    OriginType,
    PredictionSent,
    Telemetry,
    ToolCreated,
    VectorUpserted,
)
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport import InMemoryBroker
from tests.producer.conftest import Clock, MakeTelemetry
from tests.producer.samples import states, stored

MONTHS_MS = (1_793_491_200_000, 1_796_083_200_000, 1_798_761_600_000)  # November, December, January
INSTALLATIONS = 3
PLAIN_IDS = {"chatflowId", "chatId", "toolId", "assistantId"}
ID_FIELDS = {
    field.name for schema in catalog() for field in schema.fields if field.kind == "uuid" or field.name == "chatId"
}

Values = dict[tuple[str, int, int], set[str]]
"""The ids by column, installation and month."""


def uuid_of(installation: int, number: int) -> str:
    return f"0e0f0a0b-1c2d-4e3f-8a9b-{installation:04x}{number:08x}"


def events(installation: int) -> list[Event]:
    """The same flows, tools, assistants and conversations every month."""
    graph = FlowGraph(("chatOpenAI_0", "pinecone_0"), ())
    flow, chat, tool, assistant = (uuid_of(installation, number) for number in range(4))
    return [
        ChatflowCreated(chatflow_id=flow, flow_graph=graph),
        PredictionSent(chatflow_id=flow, chat_id=chat, type=OriginType.EXTERNAL, flow_graph=graph),
        PredictionSent(chatflow_id=flow, chat_id="+49 30 1234567", type=OriginType.EXTERNAL, flow_graph=graph),
        VectorUpserted(chatflow_id=flow, type=OriginType.INTERNAL, flow_graph=graph, stop_node_id="pinecone_0"),
        ToolCreated(tool_id=tool, tool_name="get_weather"),
        AssistantCreated(assistant_id=assistant),
    ]


@pytest.fixture(params=["one process", "a process each month"])
def run(
    request: pytest.FixtureRequest, make_telemetry: MakeTelemetry, set_clock: Clock, tmp_path: Path
) -> Callable[..., Values]:
    """Send, and return the ids that arrived."""

    def run(ids: str) -> Values:
        found: Values = defaultdict(set)
        for installation in range(INSTALLATIONS):
            broker = InMemoryBroker()
            environ = {"FLOWISE_TELEMETRY_CONFIG_DIR": str(tmp_path / str(installation))}
            telemetry: Telemetry | None = None
            for unix_ms in MONTHS_MS:
                set_clock(unix_ms)
                if telemetry is None or request.param != "one process":
                    telemetry = make_telemetry(environ=environ, ids=ids, writer_factory=broker.open_writer)
                for event in events(installation):
                    telemetry.send_telemetry(event)
                assert telemetry.flush(10.0)
                if request.param != "one process":
                    telemetry.close()
            assert telemetry is not None
            telemetry.close()
            for record in [*stored(broker), *states(broker)]:
                month = max(number for number, start_ms in enumerate(MONTHS_MS) if start_ms <= record["occurredAt"])
                for name in ID_FIELDS & record.keys():
                    found[name, installation, month].add(record[name])
        return found

    return run


def joined(found: Values) -> set[str]:
    """The columns in which a value of one month and installation is found in another."""
    columns: set[str] = set()
    for (one, its), (other, others) in itertools.combinations(found.items(), 2):
        if one[1:] != other[1:] and its & others:
            columns |= {one[0], other[0]}
    return columns


def test_with_ids_hashed_nothing_joins_two_months(run: Callable[..., Values]) -> None:
    found = run("hashed")
    assert len(found) == len(ID_FIELDS) * INSTALLATIONS * len(MONTHS_MS)
    assert joined(found) == set()


def test_with_ids_plain_the_ids_of_the_database_do(run: Callable[..., Values]) -> None:
    assert joined(run("plain")) == PLAIN_IDS


def test_the_numbers_begin_anew_with_the_month(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, set_clock: Clock
) -> None:
    telemetry = make_telemetry()
    for unix_ms in MONTHS_MS:
        set_clock(unix_ms)
        for event in events(0):
            telemetry.send_telemetry(event)
    telemetry.close()
    numbers: dict[str, list[Any]] = defaultdict(list)
    for record in stored(broker):
        numbers[record["streamId"]].append(record["sequence"])
    assert sorted(numbers.values()) == [[*range(len(events(0)))]] * len(MONTHS_MS)
