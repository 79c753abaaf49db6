"""docs/questions.md: each query, taken out of the page, gives the same answer on all engines, and the right one."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from flowise_telemetry_consumer.dead_letter import DeadLetter, Reason
from flowise_telemetry_consumer.decoding.frames import frame_of
from flowise_telemetry_consumer.sinks import Batch
from flowise_telemetry_consumer.sinks.account.letters import letter_rows
from flowise_telemetry_schemas import (
    ChatflowCreated,
    Edge,
    Envelope,
    Event,
    FlowGraph,
    OriginType,
    PredictionSent,
    ToolCreated,
    VectorUpserted,
    catalog,
)
from flowise_telemetry_schemas.json_mapping import rfc3339
from flowise_telemetry_schemas.node_types import node_vendors
from flowise_telemetry_transport.types import Record
from tests.consumer.sinks.analyst import asking
from tests.consumer.sinks.batches import id_made_at
from tests.consumer.sinks.roles import open_database
from tests.schemas.records import STATE, record_of

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "questions.md").read_text()
QUESTIONS = dict(re.findall(r"^### (\d+\. [^\n]*)\n.*?^```sql\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))

FIRST_MS = 1_769_904_000_000
"""2026-02-01 in UTC, which is another day in most zones for a part of it."""
HOUR_MS = 3_600_000
FLOWS = 5
TYPES = ("chatOpenAI", "conversationChain", "pinecone", "other", "mem0")
LETTERS: tuple[tuple[int, Reason], ...] = ((0, "malformed"), (1, "malformed"), (25, "constraint"))


class Made(NamedTuple):
    event: Event
    envelope: Envelope

    @property
    def day(self) -> str:
        return rfc3339(self.envelope.occurred_at_ms)[:10]

    @property
    def month(self) -> str:
        return self.day[:7]

    @property
    def week(self) -> int:
        return (int(self.day[8:]) - 1) // 7 + 1


def graph(flow: int) -> FlowGraph:
    """A flow has as many nodes as its number says, each connected to the next."""
    ids = [f"{TYPES[number % len(TYPES)]}_{number}" for number in range(flow + 1)]
    return FlowGraph(tuple(ids), tuple(Edge(one, other) for one, other in pairwise(ids)))


def made() -> Iterator[Made]:
    """Two months of three installations, each with a stream, which numbered two more than came."""
    for number in range(90):
        # On eleven days: each is a folder of a lake.
        hour = number * 16 // 131 * 131
        at_ms = FIRST_MS + hour * HOUR_MS
        month, whose = rfc3339(at_ms)[5:7], number % 3 if hour < 300 else number % 2
        flow = number % FLOWS
        flow_id = f"00000000-0000-4000-8000-{flow:012d}"
        version = f"3.{number // 30}.{whose}"
        envelope = Envelope(
            event_id=id_made_at(at_ms, number),
            occurred_at_ms=at_ms,
            instance_id=f"00000000-0000-4000-8000-{month}000000000{whose}",
            stream_id=f"00000000-0000-4000-8001-{month}000000000{whose}",
            sequence=number,
        )
        event: Event
        match number % 7:
            case 0:
                event = ChatflowCreated(version=version, chatflow_id=flow_id, flow_graph=graph(flow))
            case 1:
                event = ToolCreated(version=version, tool_id=flow_id, tool_name=("get_time", None)[number % 2])
            case 2:
                event = VectorUpserted(
                    version=version, chatflow_id=flow_id, type=OriginType.INTERNAL, flow_graph=graph(flow)
                )
            case _:
                used = flow_id if flow < FLOWS - 1 else f"00000000-0000-4000-8000-{FLOWS:012d}"
                event = PredictionSent(
                    version=version,
                    chatflow_id=used,
                    chat_id=f"00000000-0000-4000-8002-{number % 11:012d}",
                    type=(OriginType.INTERNAL, OriginType.EXTERNAL)[number % 4 == 0],
                    flow_graph=graph(flow),
                )
        yield Made(event, envelope)


EVENTS = tuple(made())
STREAMS = {each.envelope.stream_id: each for each in EVENTS}
"""The last event of each stream."""


def batch() -> Batch:
    by_event: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event, envelope in EVENTS:
        by_event[event.EVENT].append(record_of(event, envelope))
    for number, last in enumerate(STREAMS.values()):
        its = {**last.envelope.fields(), "eventId": id_made_at(FIRST_MS, 1000 + number), "numbered": numbered(last)}
        by_event["stream_state"].append({**STATE, **its, "droppedQueueFull": number, "droppedInvalid": 1})
    letters = [
        DeadLetter(Record("events", 0, offset, FIRST_MS + hour * HOUR_MS, None, b""), why, "decode", "E", "m")
        for offset, (hour, why) in enumerate(LETTERS)
    ]
    return Batch(
        frames={event: frame_of(catalog().latest(event), records) for event, records in by_event.items()},
        letters=letter_rows(letters, now_ms=FIRST_MS),
    )


def numbered(last: Made) -> int:
    return last.envelope.sequence + 3


def distinct(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, int]:
    """The number of different second values by the first."""
    found: dict[Any, set[Any]] = defaultdict(set)
    for key, value in pairs:
        found[key].add(value)
    return {key: len(values) for key, values in found.items()}


def answers() -> Mapping[int, list[tuple[Any, ...]]]:
    """The answers, worked out without SQL."""
    ran = [(each, its) for each in EVENTS if isinstance(its := each.event, PredictionSent)]
    type_of = {node: node.rpartition("_")[0] for _, its in ran for node in its.flow_graph.nodes}
    in_flows = distinct((type_of[node], its.chatflow_id) for _, its in ran for node in its.flow_graph.nodes)
    used = {its.chatflow_id for _, its in ran}
    created = {its.chatflow_id for each in EVENTS if isinstance(its := each.event, ChatflowCreated)}
    filled = {its.chatflow_id for each in EVENTS if isinstance(its := each.event, VectorUpserted)}
    weeks = {(each.month, each.envelope.instance_id, each.week) for each in EVENTS}
    began = {(month, who): min(w for m, i, w in weeks if (m, i) == (month, who)) for month, who, _ in weeks}
    edges = [(its.chatflow_id, edge) for _, its in ran for edge in its.flow_graph.edges]
    vendors = [
        (its.chatflow_id, {node_vendors().get(type_of[n]) for n in its.flow_graph.nodes} - {None}) for _, its in ran
    ]
    sizes = {its.chatflow_id: len(its.flow_graph.nodes) for _, its in ran}
    received = Counter(each.envelope.stream_id for each in EVENTS)
    missing = sum(numbered(last) - received[stream] for stream, last in STREAMS.items())
    drops = (sum(range(len(STREAMS))), len(STREAMS), 0, 0, 2 * len(STREAMS), 0)
    kinds = distinct((its.type.value, its.chatflow_id) for _, its in ran)
    chats = distinct((its.type.value, its.chat_id) for _, its in ran)
    return {
        1: [(*key, n) for key, n in Counter((each.day, each.event.EVENT) for each in EVENTS).items()],
        2: [(*key, n) for key, n in Counter((month, week) for month, _, week in weeks).items()],
        3: [
            (*key, n)
            for key, n in distinct(((e.month, e.event.version), e.envelope.instance_id) for e in EVENTS).items()
        ],
        4: [(*key, n) for key, n in Counter((m, began[m, who], week) for m, who, week in weeks).items()],
        5: [(t, n, kinds[t], chats[t]) for t, n in Counter(its.type.value for _, its in ran).items()],
        6: [(t, node_vendors().get(t), n, round(100 * n / len(used), 1)) for t, n in in_flows.items()],
        7: [(*k, n) for k, n in distinct(((type_of[e.source], type_of[e.target]), flow) for flow, e in edges).items()],
        8: [
            (*pair, n)
            for pair, n in distinct(
                ((a, b), flow) for flow, its in vendors for a in its for b in its if str(a) < str(b)
            ).items()
        ],
        9: [(size, n) for size, n in Counter(sizes.values()).items()],
        10: [(len(created), len(created - used), len((created - used) & filled))],
        11: [(len(STREAMS), len(EVENTS) + missing, len(EVENTS), missing, *drops, missing - sum(drops))],
        12: [
            (*key, n) for key, n in Counter((rfc3339(FIRST_MS + h * HOUR_MS)[:10], why) for h, why in LETTERS).items()
        ],
    }


def test_the_page_has_twelve() -> None:
    assert [int(title.partition(".")[0]) for title in QUESTIONS] == list(range(1, 13))


def test_each_has_one_answer_on_every_engine(asked_url: str) -> None:
    with closing(open_database(asked_url)) as sink:
        sink.prepare(catalog())
        sink.write(batch())
    with asking(asked_url) as ask:
        found = {title: sorted(ask(text), key=str) for title, text in QUESTIONS.items()}
    for title, wanted in zip(QUESTIONS, answers().values(), strict=True):
        assert found[title] == sorted(map(_plain, wanted), key=str), title


def test_the_notebook_answers_three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cells run in order, as Jupyter would run them."""
    path = tmp_path / "telemetry.db"
    with closing(open_database(f"sqlite:///{path}")) as sink:
        sink.prepare(catalog())
        sink.write(batch())
    monkeypatch.setenv("SINK", str(path))
    cells = json.loads((DOCS / "examples/questions.ipynb").read_text())["cells"]
    found: dict[str, Any] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), found)
    right = answers()
    assert sorted(found["per_day"].rows()) == sorted(right[1])
    assert sorted(map(_plain, found["node_types"].rows()), key=str) == sorted(map(_plain, right[6]), key=str)
    assert (found["created"], found["never_used"]) == right[10][0][:2]


def _plain(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(int(value) if isinstance(value, float) and value == int(value) else value for value in row)
