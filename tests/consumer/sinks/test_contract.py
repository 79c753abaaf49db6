"""What every sink owes that can be read back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from flowise_telemetry_consumer.decoding.frames import frame_of, polars_schema
from flowise_telemetry_consumer.errors import RowRefusedError, SinkError
from flowise_telemetry_consumer.sinks import (
    Batch,
    Erasable,
    KeepsProgress,
    Prunable,
    Readable,
    Sink,
    Stageable,
    open_sink,
    sink_kind,
)
from flowise_telemetry_schemas import ChatflowCreated, Edge, FlowGraph, ToolCreated, catalog
from tests.consumer.sinks.batches import batch, batch_of, envelope, held, records, sizes, with_second_version
from tests.consumer.sinks.conftest import DATABASES
from tests.consumer.sinks.roles import ReadableSink, open_readable
from tests.consumer.sinks.writer_process import start
from tests.schemas.records import EVENTS, FLOW_ID, record_of

NONE_HELD = dict.fromkeys(catalog().names, 0)


def test_a_sink_has_the_roles_that_its_kind_says(sink_url: str) -> None:
    kind, sink = sink_kind(sink_url), open_sink(sink_url)
    assert isinstance(sink, Sink)
    roles = {role for role in (Erasable, KeepsProgress, Prunable, Readable, Stageable) if isinstance(sink, role)}
    assert roles == kind.roles
    sink.close()


def test_all_events_are_read_back_as_they_were_written(sink: ReadableSink) -> None:
    result = sink.write(batch())
    assert result.written == sizes(batch())
    assert not any(result.duplicates.values())
    for event, frame in batch().frames.items():
        back = held(sink, event)
        assert dict(back.schema) == polars_schema(catalog().latest(event))
        assert back.equals(frame)
    assert sink.counts() == sizes(batch())


def test_a_null_is_read_back_as_a_null(sink: ReadableSink) -> None:
    sink.write(batch())
    assert held(sink, "vector_upserted")["stop_node_id"].to_list() == ["bufferMemory_12", None]


def test_writing_twice_changes_nothing(sink: ReadableSink) -> None:
    sink.write(batch())
    again = sink.write(batch())
    assert not any(again.written.values())
    assert again.duplicates == sizes(batch())
    assert sink.counts() == sizes(batch())


def test_the_first_of_two_events_with_one_id_stays(sink: ReadableSink) -> None:
    tools = [ToolCreated(version="3.0.1", tool_id=FLOW_ID, tool_name=name) for name in ("one", "two")]
    result = sink.write(batch_of(*((tool, envelope(1)) for tool in tools)))
    assert (result.written, result.duplicates) == ({"tool_created": 1}, {"tool_created": 1})
    sink.write(batch_of((tools[1], envelope(1))))
    assert held(sink, "tool_created").height == 1


def test_a_batch_of_old_and_new_adds_the_new(sink: ReadableSink) -> None:
    sink.write(batch(0))
    both = Batch(frames={event: pl.concat([frame, batch(1).frames[event]]) for event, frame in batch(0).frames.items()})
    result = sink.write(both)
    assert result.written == result.duplicates == sizes(batch())


def test_a_new_sink_holds_nothing(sink: ReadableSink) -> None:
    assert sink.counts() == NONE_HELD
    assert list(sink.read("tool_created")) == []


def test_a_batch_without_frames_changes_nothing(sink: ReadableSink) -> None:
    result = sink.write(Batch(frames={}))
    assert (result.written, result.duplicates) == ({}, {})
    assert sink.counts() == NONE_HELD


def test_reading_goes_in_frames_of_bounded_size(sink: ReadableSink) -> None:
    sink.write(batch(repeat=25))
    heights = [frame.height for frame in sink.read("tool_created", batch_rows=10)]
    assert heights == [10, 10, 5]
    assert held(sink, "tool_created", batch_rows=10).equals(batch(repeat=25).frames["tool_created"])


def test_the_largest_graph_and_the_smallest(sink: ReadableSink) -> None:
    nodes = tuple(f"chatOpenAI{'x' * 80}_{index}" for index in range(1000))
    edges = tuple(Edge(nodes[index % 1000], nodes[index * 7 % 1000]) for index in range(4000))
    graphs = FlowGraph(nodes, edges), FlowGraph((), ())
    written = batch_of(
        *(
            (ChatflowCreated(version="3.0.1", chatflow_id=FLOW_ID, flow_graph=graph), envelope(number))
            for number, graph in enumerate(graphs)
        )
    )
    sink.write(written)
    assert held(sink, "chatflow_created").equals(written.frames["chatflow_created"])


def test_what_could_break_a_statement_or_a_format_is_only_text(sink: ReadableSink) -> None:
    odd = ["'; DROP TABLE tool_created; --", '"', "\\", "\\N", "\\.", "a,b\r\nc\td", "", "NULL", "ü😀\u2028", "{}%s$1"]
    record = record_of(EVENTS[3], envelope(0))
    schema = catalog().latest("tool_created")
    frame = frame_of(
        schema,
        [{**record, "eventId": envelope(number).event_id, "toolName": text} for number, text in enumerate(odd)],
    )
    sink.write(Batch(frames={"tool_created": frame}))
    assert held(sink, "tool_created").equals(frame)


def test_an_event_that_was_not_prepared_is_refused_with_the_whole_batch(sink_url: str) -> None:
    sink = open_readable(sink_url)
    sink.prepare([catalog().latest("assistant_created")])
    with pytest.raises(SinkError, match="was not prepared"):
        sink.write(batch())
    assert sink.counts() == {"assistant_created": 0}
    sink.close()


def test_preparing_and_closing_may_be_repeated(sink_url: str) -> None:
    sink = open_readable(sink_url)
    sink.close()
    for _ in range(2):
        sink.prepare(catalog())
        sink.prepare([catalog().latest("tool_created")])
        sink.write(batch())
        sink.close()
        sink.close()
    # What was closed opens again.
    assert sink.write(batch()).duplicates == sizes(batch())
    sink.close()


def test_a_sink_is_read_without_preparing_it(sink: ReadableSink, sink_url: str) -> None:
    sink.write(batch())
    reader = open_readable(sink_url)
    assert reader.counts() == sizes(batch())
    assert held(reader, "prediction_sent").equals(batch().frames["prediction_sent"])
    reader.close()


def test_reading_sees_one_moment_while_writing_goes_on(sink: ReadableSink) -> None:
    sink.write(batch(0, repeat=25))
    reading = sink.read("tool_created", batch_rows=10)
    seen = next(reading).height
    assert sink.write(batch(1, repeat=25)).written["tool_created"] == 25
    assert seen + sum(frame.height for frame in reading) == 25


def test_a_newer_schema_adds_columns_and_older_rows_take_the_defaults(sink_url: str, tmp_path: Path) -> None:
    old, new = catalog().latest("tool_created"), with_second_version(tmp_path / "avro", "tool_created")
    older, newer = open_readable(sink_url), open_readable(sink_url)
    older.prepare(catalog())
    older.write(batch(0))
    first = records(0)["tool_created"][0]
    if sink_url.startswith("jsonl"):
        older.close()
    newer.prepare([new, old])
    second = {
        **record_of(EVENTS[3], envelope(900)),
        "nodeCount": 3,
        "isDraft": False,
        "note": "it's",
        "region": "eu",
        "tags": [],
        "portLinks": [{"fromPort": "y_1", "toPorts": 1}],
    }
    newer.write(Batch(frames={"tool_created": frame_of(new, [second])}))
    expected = [first, second]
    if not sink_url.startswith("jsonl"):
        # While consumers are replaced one by one, the one of the version before goes on.
        older.write(batch(1))
        expected.insert(1, records(1)["tool_created"][0])
    assert held(newer, "tool_created").equals(frame_of(new, expected))
    older.close()
    newer.close()


def test_a_table_that_is_not_there_is_told(database_url: str) -> None:
    writer, reader = open_readable(database_url), open_readable(database_url)
    writer.prepare([catalog().latest("tool_created")])
    assert reader.counts() == {"tool_created": 0}
    with pytest.raises(SinkError, match="table assistant_created"):
        next(reader.read("assistant_created"))
    writer.close()


def test_a_batch_that_fails_at_its_second_frame_leaves_nothing(claimed_url: str) -> None:
    sink = open_readable(claimed_url)
    sink.prepare(catalog())
    frames = dict(batch().frames)
    frames["tool_created"] = frames["tool_created"].with_columns(version=pl.lit(None, pl.String()))
    with pytest.raises(SinkError) as caught:
        sink.write(Batch(frames=frames))
    # PostgreSQL cannot tell such a batch from a rule that someone added to the table, and may drop again.
    assert caught.value.retryable == isinstance(caught.value, RowRefusedError)
    assert sink.counts() == NONE_HELD
    assert sink.write(batch()).written == sizes(batch())
    sink.close()


@pytest.mark.slow
def test_writers_that_start_and_write_at_once_write_each_event_once(shared_url: str) -> None:
    processes = [start(shared_url, batches=20, repeat=20) for _ in range(3)]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    written = sum(json.loads(line)["written"] for output in outputs for line in output.splitlines())
    assert written == 20 * sum(sizes(batch(repeat=20)).values())
    assert open_readable(shared_url).counts() == {event: 20 * 20 * size for event, size in sizes(batch()).items()}


@pytest.mark.in_another_process
@pytest.mark.slow
def test_a_kill_leaves_whole_batches_and_the_next_delivery_completes_them(sink_url: str) -> None:
    process = start(sink_url, batches=1000, repeat=200)
    assert process.stdout
    confirmed = [json.loads(process.stdout.readline())["batch"] for _ in range(3)]
    process.kill()
    confirmed += [json.loads(line)["batch"] for line in process.communicate(timeout=60)[0].splitlines()]
    one = sizes(batch(repeat=200))
    sink = open_readable(sink_url)
    counts = sink.counts()
    assert all(counts[event] >= len(confirmed) * one[event] for event in one), "what was confirmed is there"
    if sink_url.startswith(DATABASES):
        batches = counts["tool_created"] // one["tool_created"]
        assert counts == {event: batches * size for event, size in one.items()}
    sink.prepare(catalog())
    batches = len(confirmed) + 1
    for number in range(batches):
        sink.write(batch(number, repeat=200))
    assert sink.counts() == {event: batches * size for event, size in one.items()}
    sink.close()


def test_offsets_and_source_may_be_given(sink: ReadableSink) -> None:
    assert sink.write(replace(batch(), source="group")).written == sizes(batch())
