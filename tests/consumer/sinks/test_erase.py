"""What every sink owes from which events can be erased."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import pytest

from flowise_telemetry_consumer import ReplayRequest, ReplayResult, replay
from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.replay import plan_replay
from flowise_telemetry_consumer.sinks import Batch, Erasable, Stageable, open_sink, sink_kind
from flowise_telemetry_consumer.sinks.account.reading import streams_of
from flowise_telemetry_consumer.sinks.erasures import ErasedIds
from flowise_telemetry_schemas import (
    AssistantCreated,
    ChatflowCreated,
    ConfigurationError,
    Envelope,
    Event,
    FlowGraph,
    ToolCreated,
    catalog,
)
from tests.consumer.sinks.batches import batch_of, envelope
from tests.consumer.sinks.roles import ReadableSink
from tests.consumer.world import TOPIC, World
from tests.schemas.records import ENVELOPE, FLOW_ID

OTHER_INSTANCE = "0b8c1c4e-1f0a-8b52-9c3d-2f60a1b2c3d4"
OTHER_FLOW = "5d7e0c1a-9b8f-4e6d-8c2b-1a0f9e8d7c6b"
OTHER_STREAM = "c2a5f1d0-7e3b-4a9c-8d61-5b0e4f3a2c1d"
NOWHERE = "11111111-2222-4333-8444-555555555555"


@runtime_checkable
class ErasableSink(ReadableSink, Erasable, Protocol):
    """A sink that can be read back, and from which events can be erased."""


def opened(url: str) -> ErasableSink:
    sink = open_sink(url)
    assert isinstance(sink, ErasableSink)
    return sink


def ids(**by_column: str | list[str]) -> ErasedIds:
    return ErasedIds.of({name: [its] if isinstance(its, str) else its for name, its in by_column.items()})


def erased(sink: Erasable, chosen: ErasedIds, *, dry_run: bool = False) -> Mapping[str, int]:
    counts: Counter[str] = Counter()
    for step in sink.erase(chosen, dry_run=dry_run):
        counts.update(step)
    return counts


def some() -> Batch:
    """Events 0 to 5: tool, flow and assistant of one installation, then of another, with another flow."""
    events: list[Event] = []
    for flow in (FLOW_ID, OTHER_FLOW):
        events += [
            ToolCreated(version="3.0.1", tool_id=FLOW_ID, tool_name="search"),
            ChatflowCreated(version="3.0.1", chatflow_id=flow, flow_graph=FlowGraph((), ())),
            AssistantCreated(version="3.0.1", assistant_id=FLOW_ID),
        ]
    return batch_of(*((event, _envelope(number)) for number, event in enumerate(events)))


def _envelope(number: int) -> Envelope:
    if number < 3:
        return envelope(number)
    return replace(envelope(number), instance_id=OTHER_INSTANCE, stream_id=OTHER_STREAM)


def numbers(sink: ReadableSink) -> list[int]:
    """The numbers of the events that a sink holds."""
    return sorted(int(its[-4:], 16) for its in held_ids(sink))


def held_ids(sink: ReadableSink) -> list[str]:
    return [its for event in sink.counts() for frame in sink.read(event) for its in frame["event_id"].to_list()]


@pytest.mark.parametrize(
    ("chosen", "tables", "left"),
    [
        pytest.param(
            {"instance_id": ENVELOPE.instance_id},
            {"tool_created": 1, "chatflow_created": 1, "assistant_created": 1},
            [3, 4, 5],
            id="instance",
        ),
        pytest.param({"chatflow_id": OTHER_FLOW}, {"chatflow_created": 1}, [0, 1, 2, 3, 5], id="chatflow"),
        pytest.param(
            {"event_id": [envelope(0).event_id, envelope(5).event_id.upper(), NOWHERE], "chatflow_id": FLOW_ID},
            {"tool_created": 1, "chatflow_created": 1, "assistant_created": 1},
            [2, 3, 4],
            id="events-and-chatflow",
        ),
    ],
)
def test_what_was_erased_never_comes_back(
    erasable_url: str, chosen: dict[str, str | list[str]], tables: dict[str, int], left: list[int]
) -> None:
    with closing(opened(erasable_url)) as sink:
        sink.prepare(catalog())
        sink.write(some())
        assert erased(sink, ids(**chosen), dry_run=True) == tables
        assert numbers(sink) == [0, 1, 2, 3, 4, 5]
        assert sink.erasures() == []
        assert erased(sink, ids(**chosen)) == tables
        assert numbers(sink) == left
        again = sink.write(some())
        assert again.erased == tables
        assert not any(again.written.values())
        assert sum(again.duplicates.values()) == len(left)
        assert numbers(sink) == left
        assert erased(sink, ids(**chosen)) == {}
    with closing(opened(erasable_url)) as another:
        another.prepare(catalog())
        assert another.write(some()).erased == tables
        assert numbers(another) == left
        # What is new goes on arriving, beside what was erased.
        new = batch_of((ToolCreated(version="3.0.1", tool_id=FLOW_ID, tool_name="search"), envelope(9)))
        came = another.write(Batch(frames={**some().frames, **new.frames})).written["tool_created"]
        assert came == (0 if "instance_id" in chosen else 1)


def test_a_sink_that_never_had_it_leaves_it_out(erasable_url: str) -> None:
    with closing(opened(erasable_url)) as sink:
        sink.prepare(catalog())
        assert erased(sink, ids(chatflow_id=FLOW_ID)) == {}
        assert sink.write(some()).erased == {"chatflow_created": 1}
        # A writer that was open before finds out as well.
    with closing(opened(erasable_url)) as writer, closing(opened(erasable_url)) as eraser:
        writer.prepare(catalog())
        writer.write(some())
        if sink_kind(erasable_url).writers == "many":
            erased(eraser, ids(instance_id=OTHER_INSTANCE))
            assert writer.write(some()).erased == {"tool_created": 1, "chatflow_created": 2, "assistant_created": 1}


def test_nothing_is_told_of_an_erased_installation(erasable_url: str) -> None:
    with closing(opened(erasable_url)) as sink:
        sink.prepare(catalog())
        sink.write(some())
        erased(sink, ids(instance_id=OTHER_INSTANCE))
        sink.write(some())
        assert streams_of(sink)["instance_id"].unique().to_list() == [ENVELOPE.instance_id]


def test_hashes_tell_nothing_of_what_was_erased(erasable_url: str) -> None:
    with closing(opened(erasable_url)) as sink:
        sink.prepare(catalog())
        chosen = ids(instance_id=[ENVELOPE.instance_id, OTHER_INSTANCE], event_id=NOWHERE)
        erased(sink, chosen)
        rows = sink.erasures()
        assert [row.id_column for row in rows].count("instance_id") == 2
        assert len({row.key for row in rows}) == 1
        assert not any(text in "".join(row) for row in rows for texts in chosen.by_column.values() for text in texts)
        erased(sink, chosen)
        assert sorted(sink.erasures()) == sorted(rows)


def test_staging_tables_are_erased_too_and_filled_without(erasable_url: str) -> None:
    with closing(opened(erasable_url)) as sink:
        assert isinstance(sink, Stageable)
        sink.prepare(catalog())
        sink.write(some())
        with closing(sink.staging("next")) as staging:
            staging.prepare(catalog())
            staging.write(some())
            found = erased(sink, ids(chatflow_id=FLOW_ID))
            assert sorted(found.values()) == [1, 1]
            assert numbers(staging) == numbers(sink) == [0, 2, 3, 4, 5]
            assert staging.write(some()).erased == {"chatflow_created": 1}
        sink.promote("next")
        assert numbers(sink) == [0, 2, 3, 4, 5]
        assert sink.write(some()).erased == {"chatflow_created": 1}


def test_counting_makes_no_place(erasable_url: str, tmp_path: Path) -> None:
    with closing(opened(erasable_url)) as sink, contextlib.suppress(SinkError):  # a file or folder that is not there
        assert erased(sink, ids(event_id=NOWHERE), dry_run=True) == {}
    assert erasable_url.startswith("clickhouse") or list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [{}, {"event_id": []}, {"event_id": ["no id"]}, {"tool_name": [NOWHERE]}])
def test_what_is_no_id_is_refused_unsaid(wrong: dict[str, list[str]]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        ErasedIds.of(wrong)
    assert "no id" not in str(refused.value)


def test_an_erasure_stands_after_a_whole_replay(erasable_url: str) -> None:
    world = World(partitions=2)
    world.send_good(12)
    accepted = sorted(world.accepted())

    def replayed(sink: ReadableSink) -> ReplayResult:
        result = replay(world.reader(None), sink, catalog(), TOPIC, control=world.control)
        assert (result.discrepancies(), result.offsets_read) == ([], 12)
        return result

    with closing(opened(erasable_url)) as sink:
        assert replayed(sink).written.total() == 12
        gone = accepted[:3]
        erased(sink, ids(event_id=gone))
        again = replayed(sink)
        assert (again.erased.total(), again.already_there.total(), again.written.total()) == (3, 9, 0)
        assert sorted(held_ids(sink)) == accepted[3:]
        plan = plan_replay(world.reader(None), sink, catalog(), ReplayRequest(topic=TOPIC), control=world.control)
        assert (plan.erased.total(), plan.already_there.total(), plan.events.total()) == (3, 9, 12)
        if isinstance(sink, Stageable):
            with closing(sink.staging("rebuilt")) as staging:
                assert (replayed(staging).erased.total(), sorted(held_ids(staging))) == (3, accepted[3:])
            sink.promote("rebuilt")
            assert sorted(held_ids(sink)) == accepted[3:]


@pytest.mark.parametrize("filled", [True, False], ids=["filled", "empty"])
def test_a_promotion_in_the_middle_hides_nothing(erasable_url: str, filled: bool) -> None:
    with closing(opened(erasable_url)) as sink:
        assert isinstance(sink, Stageable)
        sink.prepare(catalog())
        sink.write(some())
        with closing(sink.staging("next")) as staging:
            staging.prepare(catalog())
            if filled:
                staging.write(some())
            steps = iter(sink.erase(ids(instance_id=ENVELOPE.instance_id)))
            counts = Counter(next(steps))
            sink.promote("next")
            for step in steps:
                counts.update(step)
            assert sorted(numbers(sink) + numbers(staging)) == sorted([3, 4, 5] * (1 + filled))
            assert sum(counts.values()) == 3 * (1 + filled), "each is counted once"
            for its in (sink, staging):
                assert set(streams_of(its)["instance_id"]) <= {OTHER_INSTANCE}
