"""Events of some installations over two months, the same every time, and all figures counted from them in Python."""

from __future__ import annotations

import random
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from itertools import pairwise
from typing import Any

from flowise_telemetry_consumer.decoding.frames import frame_of
from flowise_telemetry_consumer.sinks import Batch, KeepsAccount, open_sink
from flowise_telemetry_schemas import catalog
from flowise_telemetry_schemas.node_types import node_vendors

Record = dict[str, Any]

FIRST = datetime(2026, 1, 26, tzinfo=UTC)
DAYS = 40
HEAVY = 60
"""Events a day past which an installation is set apart here."""

_TYPES = ["chatOpenAI", "bufferMemory", "pinecone", "openAIEmbeddings", "conversationChain", "other", "calculator"]
_RULES = [("toolName", "pattern"), ("toolName", "secret"), ("flowGraph.nodes", "vocabulary")]


class World:
    """``records`` by event. Ids of events grow with time."""

    def __init__(self, seed: int = 7, installations: int = 9, events: int = 500) -> None:
        self.random = random.Random(seed)
        self.records: dict[str, list[Record]] = defaultdict(list)
        self._numbers: Counter[str] = Counter()
        offsets = sorted(self.random.randrange(DAYS * 86_400_000) for _ in range(events))
        for number, offset in enumerate(offsets):
            self._add(number, FIRST + timedelta(milliseconds=offset), self.random.randrange(installations))
        for number in range(HEAVY + 5):
            self._add(events + number, FIRST + timedelta(days=DAYS, seconds=number), installations)
        self._tell_states(FIRST + timedelta(days=DAYS, hours=1))

    def _id(self, *of: object) -> str:
        made = random.Random(repr(of))
        return str(uuid.UUID(int=made.getrandbits(128), version=4))

    def _add(self, number: int, at: datetime, installation: int) -> None:
        kind = self.random.choices(
            ["prediction_sent", "chatflow_created", "vector_upserted", "tool_created", "assistant_created"],
            [60, 15, 10, 10, 5],
        )[0]
        month, ms = at.strftime("%Y-%m"), round(at.timestamp() * 1000)
        stream = self._id("stream", installation, month)
        record: Record = {
            "eventId": f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-7000-8000-{number:012x}",
            "occurredAt": ms,
            "instanceId": self._id("installation", installation, month),
            "streamId": stream,
            "sequence": self._numbers[stream] + self._numbers[stream] // 7,  # each eighth one is missing
            "version": f"3.{(installation + at.day // 15) % 3}.0",
        }
        self._numbers[stream] += 1
        flow = self.random.randrange(4)
        if kind in ("prediction_sent", "chatflow_created", "vector_upserted"):
            record |= {"chatflowId": self._id("flow", installation, flow), "flowGraph": self._graph()}
        match kind:
            case "prediction_sent":
                record |= {"chatId": self._id("chat", number), "type": self.random.choice(["INTERNAL", "EXTERNAL"])}
            case "vector_upserted":
                store = self.random.choice(["pinecone_0", "pinecone_12", "other_1", None])
                record |= {"type": "INTERNAL", "stopNodeId": store}
            case "tool_created":
                record |= {
                    "toolId": self._id("tool", number),
                    "toolName": self.random.choice(["get_time", "ask", None]),
                }
            case "assistant_created":
                record |= {"assistantId": self._id("assistant", number), "assistantType": "CUSTOM"}
        self.records[kind].append(record)

    def _graph(self) -> Record:
        types = self.random.choices(_TYPES, k=self.random.randrange(1, 12))
        nodes = [f"{node}_{number}" for number, node in enumerate(types)]
        return {
            "nodes": nodes,
            "edges": [{"source": one, "target": two} for one, two in pairwise(nodes)],
        }

    def _tell_states(self, at: datetime) -> None:
        """Two states of each stream: counts grow, and the last one counts."""
        events = (record for its in self.records.values() for record in its)
        found: dict[str, Record] = {}
        for record in sorted(events, key=lambda record: int(record["occurredAt"])):
            found[record["streamId"]] = record
        dropped = [field.name for field in catalog().latest("stream_state").fields if field.name.startswith("dropped")]
        for number, last in enumerate((found[stream] for stream in sorted(found)), start=1):
            for sequence in (0, 1):
                ms = last["occurredAt"] + sequence
                drops = {
                    name: (number % 3) * sequence if at_ == number % len(dropped) else 0
                    for at_, name in enumerate(dropped)
                }
                self.records["stream_state"].append(
                    {
                        **{key: last[key] for key in ("occurredAt", "instanceId", "streamId", "version")},
                        "eventId": f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-7001-8000-{number * 2 + sequence:012x}",
                        "sequence": sequence,
                        "numbered": last["sequence"] + 3,
                        "waiting": 0,
                        **drops,
                        "withheld": [
                            {"event": "tool_created", "field": field, "rule": rule, "values": number + sequence}
                            for field, rule in _RULES[: number % 4]
                        ],
                        "ended": bool(sequence),
                    }
                )

    @cached_property
    def all(self) -> list[Record]:
        """All events but the states, each with its name and day, in the order of time."""
        made = [
            {**record, "event": event, "day": datetime.fromtimestamp(record["occurredAt"] / 1000, UTC).date()}
            for event, its in self.records.items()
            if event != "stream_state"
            for record in its
        ]
        return sorted(made, key=lambda record: str(record["eventId"]))

    def write(self, url: str) -> None:
        """Write all into a sink."""
        with closing(open_sink(url)) as sink:
            sink.prepare(catalog())
            frames = {event: frame_of(catalog().latest(event), its) for event, its in self.records.items()}
            sink.write(Batch(frames))
            assert isinstance(sink, KeepsAccount)

    @cached_property
    def heavy(self) -> set[str]:
        """Installations with more than ``HEAVY`` events on one day."""
        days = Counter((record["instanceId"], record["day"]) for record in self.all)
        return {instance for (instance, _), events in days.items() if events > HEAVY}

    def figures(self, since: date = date(2020, 1, 1)) -> dict[str, list[tuple[Any, ...]]]:
        """The rows of every figure, sorted."""
        events = [record for record in self.all if record["day"] >= since and record["instanceId"] not in self.heavy]
        figures = {**_usage(events), **_flows(events)}
        apart = [record for record in self.all if record["day"] >= since and record["instanceId"] in self.heavy]
        figures["set_apart"] = [(*key, _installations(its), len(its)) for key, its in _by(apart, _month).items()]
        figures |= self._delivery(since)
        return {name: sorted(rows) for name, rows in figures.items()}

    def _delivery(self, since: date) -> dict[str, list[tuple[Any, ...]]]:
        states = [state for state in self.records["stream_state"] if state["sequence"] == 1]
        outcomes: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
        numbered: Counter[str] = Counter()
        reasons: dict[str, list[tuple[int, str]]] = defaultdict(list)
        withheld: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
        for state in states:
            its = [record for record in self.all if record["streamId"] == state["streamId"]]
            if its[-1]["day"] < since:
                continue
            (month,) = _month(its[0])
            numbered[month] += state["numbered"]
            drops = {name.removeprefix("dropped"): count for name, count in state.items() if name.startswith("dropped")}
            dropped = sum(drops.values())
            told = {"received": len(its), "dropped": dropped, "missing": state["numbered"] - len(its) - dropped}
            for outcome, count in told.items():
                if count > 0:
                    outcomes[month, outcome].append((count, state["instanceId"]))
            for reason, count in drops.items():
                if count:
                    reasons[_snake(reason)].append((count, state["instanceId"]))
            for value in state["withheld"]:
                withheld[value["field"], value["rule"]].append((value["values"], state["instanceId"]))
        return {
            "loss": [
                (month, outcome, round(_sum(its) / numbered[month], 4), _sum(its), _among(its))
                for (month, outcome), its in outcomes.items()
            ],
            "drops": [(reason, _sum(its), _among(its)) for reason, its in reasons.items()],
            "withheld": [(*key, _sum(its), _among(its)) for key, its in withheld.items()],
            "dead_letters": [],
        }


def _usage(events: list[Record]) -> dict[str, list[tuple[Any, ...]]]:
    figures: dict[str, list[tuple[Any, ...]]] = {"overview": [(len(events), _installations(events))]}
    for name, period in (("day", _day), ("week", _week), ("month", _month)):
        by_event = _by(events, _both(period))
        figures[f"events_by_{name}"] = [(*key, len(its), _installations(its)) for key, its in by_event.items()]
        figures[f"installations_by_{name}"] = [(*key, _installations(its)) for key, its in _by(events, period).items()]
    by_version = _by(events, lambda record: (*_week(record), record["version"]))
    figures["versions"] = [(*key, _installations(its), len(its)) for key, its in by_version.items()]
    early = _by([record for record in events if record["day"].day <= 7], _month)
    figures["retention"] = []
    for (month, days), its in _by(events, lambda record: (*_month(record), _days(record))).items():
        cohort = {record["instanceId"] for record in early.get((month,), [])}
        there = len({record["instanceId"] for record in its} & cohort)
        if there:
            figures["retention"].append((month, days, round(there / len(cohort), 4), there, len(cohort)))
    return figures


def _flows(events: list[Record]) -> dict[str, list[tuple[Any, ...]]]:
    latest: dict[tuple[str, str], Record] = {}
    for record in events:
        if record["event"] in ("chatflow_created", "prediction_sent"):
            latest[record["chatflowId"], record["instanceId"]] = record
    flows = list(latest.values())
    every = _flow_count(flows)
    nodes = [{**flow, "node": _type(node)} for flow in flows for node in flow["flowGraph"]["nodes"]]
    pairs = [
        {**flow, "pair": (_type(edge["source"]), _type(edge["target"]))}
        for flow in flows
        for edge in flow["flowGraph"]["edges"]
    ]
    sizes = _by(flows, lambda flow: (_size(len(flow["flowGraph"]["nodes"])),))
    predictions = [record for record in events if record["event"] == "prediction_sent"]
    of_month = {key: len(its) for key, its in _by(predictions, _month).items()}
    upserts = [record for record in events if record.get("stopNodeId")]
    tools = [record for record in events if record["event"] == "tool_created"]
    vendors = node_vendors()
    return {
        "node_types": [
            (*key, round(_flow_count(its) / every, 4), _flow_count(its), every, _installations(its))
            for key, its in _by(nodes, lambda x: (x["node"], vendors.get(x["node"], "unknown"))).items()
        ],
        "pairs": [
            (*key, _flow_count(its), _installations(its)) for key, its in _by(pairs, lambda x: x["pair"]).items()
        ],
        "flow_sizes": [
            (size, round(_flow_count(its) / every, 4), _flow_count(its), _installations(its))
            for (size,), its in sizes.items()
        ],
        "origins": [
            (month, origin, round(len(its) / of_month[month,], 4), len(its), _installations(its))
            for (month, origin), its in _by(predictions, lambda x: (*_month(x), x["type"])).items()
        ],
        "vector_stores": [
            (*key, _installations(its), _flow_count(its), len(its))
            for key, its in _by(upserts, lambda x: (_type(x["stopNodeId"]),)).items()
        ],
        "tools": [
            (*key, _installations(its), len({tool["toolId"] for tool in its}))
            for key, its in _by(tools, lambda x: (x["toolName"] or "(withheld)",)).items()
        ],
    }


def _both(period: Callable[[Record], tuple[str]]) -> Callable[[Record], tuple[str, str]]:
    return lambda record: (*period(record), record["event"])


def _by(records: Iterable[Record], key: Callable[[Record], tuple[Hashable, ...]]) -> dict[Any, list[Record]]:
    groups: dict[Any, list[Record]] = defaultdict(list)
    for record in records:
        groups[key(record)].append(record)
    return groups


def _installations(records: Iterable[Record]) -> int:
    return len({record["instanceId"] for record in records})


def _flow_count(records: Iterable[Record]) -> int:
    return len({record["chatflowId"] for record in records})


def _sum(counts: Iterable[tuple[int, str]]) -> int:
    return sum(count for count, _ in counts)


def _among(counts: Iterable[tuple[int, str]]) -> int:
    return len({instance for _, instance in counts})


def _day(record: Record) -> tuple[str]:
    return (record["day"].isoformat(),)


def _week(record: Record) -> tuple[str]:
    return ((record["day"] - timedelta(days=record["day"].weekday())).isoformat(),)


def _month(record: Record) -> tuple[str]:
    return (record["day"].replace(day=1).isoformat(),)


def _days(record: Record) -> str:
    return ("01-07", "08-14", "15-21", "22-28", "29-31")[(record["day"].day - 1) // 7]


def _type(node: str) -> str:
    return node.rpartition("_")[0]


def _size(nodes: int) -> str:
    for most, name in ((2, "01-02"), (4, "03-04"), (8, "05-08"), (16, "09-16"), (32, "17-32")):
        if nodes <= most:
            return name
    return "33 and more"


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).removeprefix("_")
