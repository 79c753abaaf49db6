"""What is the own of JSON lines: the form of a line, a file with one writer, a stream that forgets."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowise_telemetry_consumer.decoding.frames import frame_of
from flowise_telemetry_consumer.errors import SinkError, SinkUnavailableError
from flowise_telemetry_consumer.sinks import Batch, KeepsProgress, Readable, Sink, Stageable, open_sink
from flowise_telemetry_consumer.sinks.jsonl import JsonLinesFile, JsonLinesStream
from flowise_telemetry_consumer.sinks.jsonl.lines import LINE_START
from flowise_telemetry_schemas import catalog, record_to_json
from tests.consumer.sinks.batches import NEW_FIELDS, batch, held, records, sizes, with_second_version
from tests.consumer.sinks.limits import files_of_at_most
from tests.consumer.sinks.roles import open_readable
from tests.schemas.records import EVENTS, record_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


@pytest.fixture
def sink(path: Path) -> Iterator[JsonLinesFile]:
    opened = JsonLinesFile(path)
    opened.prepare(catalog())
    yield opened
    opened.close()


@pytest.fixture
def printed() -> io.BytesIO:
    return io.BytesIO()


@pytest.fixture
def stream(printed: io.BytesIO) -> JsonLinesStream:
    opened = JsonLinesStream(printed)
    opened.prepare(catalog())
    return opened


def test_a_line_is_the_json_of_its_record(stream: JsonLinesStream, printed: io.BytesIO) -> None:
    stream.write(batch())
    made = records(0)
    expected = [record_to_json(catalog().latest(event), record) for event in sorted(made) for record in made[event]]
    assert [json.loads(line) for line in printed.getvalue().splitlines()] == expected


def test_nested_fields_have_the_names_of_the_wire(tmp_path: Path, printed: io.BytesIO) -> None:
    schema = with_second_version(tmp_path, "tool_created")
    stream = JsonLinesStream(printed)
    stream.prepare([schema])
    record = {**record_of(EVENTS[3]), **{field["name"]: field["default"] for field in NEW_FIELDS}}
    stream.write(Batch(frames={"tool_created": frame_of(schema, [record])}))
    assert json.loads(printed.getvalue()) == record_to_json(schema, record)


def test_a_stream_prints_what_is_twice_in_a_batch_once_and_forgets_it(
    stream: JsonLinesStream, printed: io.BytesIO
) -> None:
    tools = batch().frames["tool_created"]
    twice = stream.write(Batch(frames={"tool_created": tools.vstack(tools)}))
    assert (twice.written, twice.duplicates) == ({"tool_created": 1}, {"tool_created": 1})
    assert stream.write(batch()).written == sizes(batch())
    lines = printed.getvalue().splitlines()
    assert len([line for line in lines if line.startswith(LINE_START + b'tool_created"')]) == 2


def test_a_stream_has_no_role_but_that_of_a_sink(stream: JsonLinesStream) -> None:
    assert isinstance(stream, Sink)
    assert not isinstance(stream, KeepsProgress | Readable | Stageable)
    stream.close()
    stream.close()


def test_a_reader_that_has_ended_is_told() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as pipe:  # noqa: PTH123 - a descriptor
        sink = JsonLinesStream(pipe)
        sink.prepare(catalog())
        with pytest.raises(SinkError, match="has ended") as caught:
            sink.write(batch())
    assert not caught.value.retryable


def test_standard_output_is_a_sink(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    sink = open_sink("jsonl:-")
    sink.prepare(catalog())
    sink.write(batch())
    assert len(capfdbinary.readouterr().out.splitlines()) == sum(sizes(batch()).values())


def test_a_file_takes_one_writer_and_any_readers(path: Path, sink: JsonLinesFile) -> None:
    second = JsonLinesFile(path)
    with pytest.raises(SinkUnavailableError, match="another program writes"):
        second.prepare(catalog())
    sink.write(batch())
    assert second.counts() == sizes(batch())
    sink.close()
    second.prepare(catalog())
    assert second.write(batch()).duplicates == sizes(batch())
    second.close()


@pytest.mark.parametrize("cut_bytes", [1, 40, 10_000])
def test_lines_lost_in_a_kill_are_completed_by_the_next_delivery(path: Path, cut_bytes: int) -> None:
    first = JsonLinesFile(path)
    first.prepare(catalog())
    first.write(batch(0))
    kept = path.stat().st_size
    first.write(batch(1, repeat=50))
    first.close()
    os.truncate(path, max(path.stat().st_size - cut_bytes, kept + 7))
    # A reader passes over the line that was cut.
    assert sum(first.counts().values()) < sum(sizes(batch(repeat=51)).values())
    again = JsonLinesFile(path)
    again.prepare(catalog())
    again.write(batch(1, repeat=50))
    assert again.counts() == {event: 51 * size for event, size in sizes(batch()).items()}
    assert held(again, "tool_created").height == 51
    again.close()


def test_a_full_disk_is_an_outage_and_leaves_nothing_of_the_batch(path: Path, sink: JsonLinesFile) -> None:
    sink.write(batch(0))
    before = path.read_bytes()
    with files_of_at_most(len(before) + 1000), pytest.raises(SinkUnavailableError):
        sink.write(batch(1, repeat=100))
    assert path.read_bytes() == before
    assert sink.write(batch(1, repeat=100)).written == sizes(batch(repeat=100))


def test_a_file_removed_while_open_is_told_and_made_anew(path: Path, sink: JsonLinesFile) -> None:
    sink.write(batch(0))
    path.unlink()
    with pytest.raises(SinkUnavailableError, match="moved or removed"):
        sink.write(batch(1))
    assert sink.write(batch(1)).written == sizes(batch())


@pytest.mark.parametrize("text", ["a letter\n", "a letter without an end", '{"name": 1}\n', "[]\n", '{"event": 1}\n'])
def test_a_file_of_something_else_is_left_alone(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(SinkError, match="line 1 is not an event"):
        JsonLinesFile(path).prepare(catalog())
    assert path.read_text() == text


def test_a_file_takes_no_more_events_than_ids_fit_in_memory(path: Path) -> None:
    sink = JsonLinesFile(path, max_file_events=10)
    sink.prepare(catalog())
    sink.write(batch(0))
    with pytest.raises(SinkError, match=r"\(10\): use an sqlite sink"):
        sink.write(batch(1))
    assert sink.counts() == sizes(batch())
    sink.close()


def test_a_file_that_cannot_be_used_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"make the folder .*missing first"):
        open_readable(f"jsonl:///{tmp_path}/missing/events").prepare(catalog())
    with pytest.raises(SinkError, match="directory"):
        open_readable(f"jsonl:///{tmp_path}").prepare(catalog())
    with pytest.raises(SinkError, match="no such file"):
        open_readable(f"jsonl:///{tmp_path}/events").counts()


def test_lines_of_others_are_read_back_too(path: Path, sink: JsonLinesFile) -> None:
    """jq and Python put a space after a colon, and keys may come in any order."""
    sink.write(batch(0))
    sink.close()
    expected = {event: held(sink, event) for event in sizes(batch())}
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(dict(reversed(line.items()))) + "\n" for line in lines))
    assert sink.counts() == sizes(batch())
    assert all(held(sink, event).equals(frame) for event, frame in expected.items())
    assert sink.write(batch(0)).duplicates == sizes(batch())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"occurredAt":"2023-11-14T22:13:20.126Z"', '"occurredAt":"soon"', "occurredAt: must be a time such as"),
        ('"instanceId"', '"instance"', "instanceId: is missing"),
        ('"sequence":3', '"sequence":"three"', "sequence: must be an integer"),
    ],
)
def test_a_line_that_does_not_fit_is_told(path: Path, sink: JsonLinesFile, old: str, new: str, said: str) -> None:
    sink.write(batch(0))
    sink.close()
    content = path.read_text()
    assert old in content
    path.write_text("".join(line.replace(old, new) for line in content.splitlines(keepends=True)))
    with pytest.raises(SinkError, match="has a line that is no ") as raised:
        [held(sink, event) for event in sizes(batch())]
    assert said in raised.value.message
