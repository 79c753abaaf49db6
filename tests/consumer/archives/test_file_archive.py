"""Files of JSON lines: any JSON of the shape is taken, and what is none is named by file, line and field."""

from __future__ import annotations

import gzip
import itertools
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from flowise_telemetry_consumer import IncompleteReadError, SinkError
from flowise_telemetry_consumer.archives.file_archive import FILE, OFFSET, FileArchive
from flowise_telemetry_consumer.archives.gathering import Gathering
from flowise_telemetry_consumer.archives.json_lines import LineParser, Parsed
from flowise_telemetry_consumer.archives.portion import Portion
from flowise_telemetry_consumer.archives.text_file import MAX_LINE_BYTES, Block
from flowise_telemetry_consumer.decoding.frames import wire_records
from flowise_telemetry_consumer.sinks.rows import newest
from flowise_telemetry_schemas import catalog
from tests.consumer.archives.lines import changed, documents, own_lines, spaced
from tests.consumer.sinks.batches import batch, sizes
from tests.thoroughness import examples

SCHEMAS = newest(catalog())


def portions(*paths: Path, **options: Any) -> list[Portion]:
    return list(FileArchive([str(path) for path in paths], SCHEMAS, **options).portions(list(SCHEMAS)))


def rows(read: list[Portion]) -> dict[str, pl.DataFrame]:
    events = sorted({event for portion in read for event in portion.frames})
    return {event: pl.concat([its.frames[event] for its in read if event in its.frames]) for event in events}


def found(read: list[Portion]) -> list[tuple[int | None, str | None, str, str]]:
    return [(reject.line, reject.event, reject.field, reject.rule) for portion in read for reject in portion.rejects]


def written(tmp_path: Path, *lines: bytes, name: str = "a.jsonl") -> Path:
    path = tmp_path / name
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def same(one: dict[str, pl.DataFrame], other: dict[str, pl.DataFrame]) -> bool:
    return one.keys() == other.keys() and all(one[event].equals(other[event]) for event in one)


@pytest.mark.parametrize("repeat", [1, 30])
@pytest.mark.parametrize("form", ["own", "spaced", "jq", "crlf", "blank lines", "mark", "columns", "mixed"])
def test_any_json_of_the_shape_is_taken(form: str, repeat: int, tmp_path: Path) -> None:
    own = own_lines(0, repeat)
    read = documents(0, repeat)
    lines = {
        "own": own,
        "spaced": [spaced(document) for document in read],
        "jq": [json.dumps(document, sort_keys=True, separators=(",", ":")).encode() for document in read],
        "crlf": [line + b"\r" for line in own],
        "blank lines": [*itertools.chain.from_iterable((b"", b"  ", line) for line in own)],
        "mark": [b"\xef\xbb\xbf" + own[0], *own[1:]],
        "columns": [line.replace(b'"toolName":', b'"tool_name":').replace(b"chatflowId", b"chatlowId") for line in own],
        "mixed": [spaced(json.loads(line)) if at % 7 == 3 else line for at, line in enumerate(own)],
    }[form]
    read_back = portions(written(tmp_path, *lines))
    assert found(read_back) == []
    assert same(rows(read_back), dict(batch(0, repeat).frames))


TOOL = documents()[3]
assert TOOL["event"] == "tool_created"
NESTED = b'{"event":"tool_created","properties":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
PROMPT = "Please summarise the mail of name@example.com"

BAD: dict[str, tuple[bytes, str | None, str, str]] = {
    "not JSON": (b"hello world", None, "", "json"),
    "an array": (b"[1, 2]", None, "", "shape"),
    "no properties": (b'{"event": "tool_created"}', None, "", "shape"),
    "an event of another kind": (b'{"event": 5, "properties": {}}', None, "event", "type"),
    "an event that is not known": (b'{"event": "prompt_typed", "properties": {}}', None, "event", "unknown_event"),
    "properties of another kind": (b'{"event": "tool_created", "properties": 5}', "tool_created", "properties", "type"),
    "a key beside": (json.dumps({**TOOL, "prompt": PROMPT}).encode(), "tool_created", "", "unknown"),
    "a field beside": (spaced(changed(TOOL, prompt=PROMPT)), "tool_created", "(a name of no field)", "unknown"),
    "a missing field": (spaced(changed(TOOL, instanceId=None)), "tool_created", "instanceId", "required"),
    "a missing id": (spaced(changed(TOOL, eventId=None)), "tool_created", "eventId", "required"),
    "a bad date": (spaced(changed(TOOL, occurredAt="yesterday")), "tool_created", "occurredAt", "time"),
    "a date of another kind": (spaced(changed(TOOL, occurredAt=[1])), "tool_created", "occurredAt", "type"),
    "a date before 2020": (
        spaced(changed(TOOL, occurredAt="2019-12-31T23:59Z")),
        "tool_created",
        "occurredAt",
        "minimum",
    ),
    "a prompt": (spaced(changed(TOOL, toolName=PROMPT)), "tool_created", "toolName", "pattern"),
    "a number as text": (spaced(changed(TOOL, sequence="64")), "tool_created", "sequence", "type"),
    "a fraction": (spaced(changed(TOOL, sequence=64.5)), "tool_created", "sequence", "type"),
    "a truth": (spaced(changed(TOOL, sequence=True)), "tool_created", "sequence", "type"),
    "a huge number": (spaced(TOOL).replace(b'"sequence": 3', b'"sequence": ' + b"9" * 9_000), None, "", "json"),
    "not a number": (spaced(TOOL).replace(b'"sequence": 3', b'"sequence": NaN'), None, "", "json"),
    "infinity": (spaced(TOOL).replace(b'"sequence": 3', b'"sequence": 1e999'), "tool_created", "sequence", "type"),
    "a surrogate": (spaced(TOOL).replace(b"get_", b"get\\ud800_"), "tool_created", "toolName", "pattern"),
    "an escaped zero": (spaced(TOOL).replace(b"get_", b"get\\u0000_"), "tool_created", "toolName", "pattern"),
    "a zero": (spaced(TOOL).replace(b"get_", b"get\x00_"), None, "", "json"),
    "broken UTF-8": (spaced(TOOL).replace(b"get_", b"get\xff_"), None, "", "encoding"),
    "a key twice": (b'{"event": "tool_created", ' + spaced(TOOL)[1:], None, "", "duplicate"),
    "a key twice inside": (own_lines()[3].replace(b'"version"', b'"sequence":9,"version"'), None, "", "duplicate"),
    "deep nesting": (NESTED, None, "", "json"),
    "a huge line": (b'{"event": "' + b"x" * MAX_LINE_BYTES + b'"}', None, "", "too_long"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_line_that_is_no_event_is_named_and_the_others_are_read(case: str, tmp_path: Path) -> None:
    line, event, field, rule = BAD[case]
    good = own_lines(0, 10)
    read = portions(written(tmp_path, *good[:20], line, *good[20:]))
    assert found(read) == [(21, event, field, rule)]
    assert same(rows(read), dict(batch(0, 10).frames))
    assert sum(portion.read.total() for portion in read) == len(good) + (event is not None)
    (reject,) = (reject for portion in read for reject in portion.rejects)
    assert not any(part in json.dumps(reject.to_json()) for part in ("name@example.com", "prompt_typed", "999"))


def test_of_lines_that_start_as_ours_the_bad_ones_are_found(tmp_path: Path) -> None:
    good = own_lines(0, 50)
    lines = [line.replace(b"get_current", b"get current") if at % 9 == 0 else line for at, line in enumerate(good)]
    lines = [line[:-9] if at % 31 == 0 else line for at, line in enumerate(lines)]
    bad = [at + 1 for at, (line, was) in enumerate(zip(lines, good, strict=True)) if line != was]
    read = portions(written(tmp_path, *lines))
    assert [line for line, *_ in found(read)] == bad
    assert sum(frame.height for frame in rows(read).values()) == len(good) - len(bad)


def test_a_cut_last_line_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, *own_lines())
    path.write_bytes(path.read_bytes()[:-20])
    assert found(portions(path)) == [(len(own_lines()), None, "", "cut")]
    path.write_bytes(b"\n".join(own_lines()))  # whole, but for the line feed
    assert found(portions(path)) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"hello\nworld\n", "a.jsonl is no file of events: line 1: is not JSON at column 1"),
        (b"event_id,occurred_at\n1,2\n", "line 1: is not JSON"),
        (b'[\n{"event": 1}\n]\n', "line 1: is not JSON at column 2"),
        (b'{"a": 1}\n{"a": 2}\n', 'line 1: must be an object {"event": …, "properties": {…}} on a line of its own'),
        ("hello".encode("utf-16"), "is in UTF-16: write it in UTF-8"),
        (b"\x00", f"line 1: is longer than {MAX_LINE_BYTES} bytes"),
    ],
)
def test_a_file_that_is_none_of_ours_is_told_by_its_first_line(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content * 10_000_000 if len(content) == 1 else content)
    with pytest.raises(SinkError) as raised:
        portions(path)
    assert said in raised.value.message


def test_what_cannot_be_opened_is_told(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"none.jsonl cannot be opened: there is no such file"):
        portions(tmp_path / "none.jsonl")
    with pytest.raises(SinkError, match="is a folder: name a file"):
        portions(tmp_path)


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst", "a.jsonl"])
def test_a_compressed_file_is_told_by_its_bytes(name: str, tmp_path: Path) -> None:
    """Of two members or frames, as appending makes them; whatever its name."""
    lines = own_lines(0, 5)
    packed = zstandard.compress if name.endswith("zst") else gzip.compress
    path = tmp_path / name
    path.write_bytes(b"".join(packed(line + b"\n") for line in lines))
    read = portions(path)
    assert same(rows(read), dict(batch(0, 5).frames))
    assert (read[-1].done, read[-1].total) == (path.stat().st_size, path.stat().st_size)


@pytest.mark.parametrize("packed", [gzip.compress, zstandard.compress])
@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_what_is_before_the_damage_is_read(packed: Any, damage: str, tmp_path: Path) -> None:
    lines = own_lines(0, 5)
    whole = b"".join(packed(line + b"\n") for line in lines)
    content = whole[:-9] if damage == "cut" else whole[:-30] + bytes([whole[-30] ^ 255]) + whole[-29:]
    path = tmp_path / "a.gz"
    path.write_bytes(content)
    read = FileArchive([str(path)], SCHEMAS).portions(list(SCHEMAS))
    first = next(read)
    assert 0 < sum(frame.height for frame in first.frames.values()) <= len(lines)
    with pytest.raises(IncompleteReadError, match=r"a.gz is damaged or cut after line \d+: bring it again"):
        next(read)


def test_many_small_files_are_one_portion_and_each_can_be_resumed(tmp_path: Path) -> None:
    lines = own_lines(0, 20)
    paths = [written(tmp_path, *lines[at : at + 3], name=f"{at:03}.jsonl") for at in range(0, len(lines), 3)]
    (read,) = portions(*paths)
    assert same(dict(read.frames), dict(batch(0, 20).frames))
    assert read.offsets == {FILE: len(paths) - 1, OFFSET: paths[-1].stat().st_size}
    rest = portions(*paths, starts={FILE: 7, OFFSET: paths[7].stat().st_size})
    assert sum(frame.height for frame in rows(rest).values()) == len(lines) - 3 * 8


def test_reading_goes_on_at_an_offset_with_the_number_of_the_line(tmp_path: Path) -> None:
    lines = own_lines(0, 4)
    path = written(tmp_path, b"\xef\xbb\xbf" + lines[0], *lines[1:10], b"hello", *lines[10:])
    start = len(b"\xef\xbb\xbf") + sum(len(line) + 1 for line in lines[:8])
    read = portions(path, starts={FILE: 0, OFFSET: start})
    assert found(read) == [(11, None, "", "json")]
    assert sum(frame.height for frame in rows(read).values()) == len(lines) - 8
    with pytest.raises(IncompleteReadError, match="is damaged or cut"):
        portions(path, starts={FILE: 0, OFFSET: 1_000_000})


def test_an_event_without_an_id_gets_one_of_its_content(tmp_path: Path) -> None:
    plain = [changed(document, eventId=None) for document in documents(0, 3)]
    empty = [changed(document, eventId="") for document in documents(0, 3)]
    one = rows(portions(written(tmp_path, *(json.dumps(its).encode() for its in plain)), make_ids=True))
    other = rows(portions(written(tmp_path, *(spaced(its) for its in empty)), make_ids=True))
    assert same(one, other)
    ids = [event_id for frame in one.values() for event_id in frame["event_id"].to_list()]
    assert len(set(ids)) == len(plain)
    times = [time for frame in one.values() for time in frame["occurred_at"].dt.epoch("ms").to_list()]
    assert [int(event_id.replace("-", "")[:12], 16) for event_id in ids] == times


JSON_VALUE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["2024-01-01", "EXTERNAL"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
OWN = own_lines()


@st.composite
def hostile(draw: st.DrawFn) -> bytes:
    """A line of ours, with a part replaced: a value, or any bytes."""
    line = draw(st.sampled_from(OWN))
    if draw(st.booleans()):
        document = json.loads(line)
        at = draw(st.sampled_from(sorted(document["properties"])))
        document["properties"][at] = draw(JSON_VALUE)
        return json.dumps(document, ensure_ascii=draw(st.booleans())).encode(errors="surrogatepass")
    start = draw(st.integers(0, len(line)))
    end = min(len(line), start + draw(st.integers(0, 20)))
    junk = draw(
        st.binary(max_size=6) | st.sampled_from([b"\x00", b'"', b"\\u0000", b"}", b"\xed\xa0\x80", b"\r", b","])
    )
    return (line[:start] + junk + line[end:]).replace(b"\n", b" ")


PARSER = LineParser("a.jsonl", SCHEMAS)
GOOD = own_lines(1, 16)
HEIGHTS = sizes(batch(1, 16))


@pytest.mark.slow
@settings(max_examples=examples(3))
@given(st.lists(hostile(), min_size=1, max_size=3))
def test_whatever_is_in_a_line_it_is_a_valid_row_or_a_reject(bad: list[bytes]) -> None:
    """Many at a time or one by one, the outcome is the same."""
    lines = [*GOOD, *bad]
    gathering = Gathering(SCHEMAS)
    gathering.add_lines(Block(lines, 1, 0), PARSER)
    portion = gathering.portion(done=0, total=0)
    alone = [PARSER.parse(line, number) for number, line in enumerate(bad, start=len(GOOD) + 1) if line.strip()]
    assert portion.rejects == [one for one in alone if not isinstance(one, Parsed)]
    for event, frame in portion.frames.items():
        expected = [one.record for one in alone if isinstance(one, Parsed) and one.event == event]
        before = HEIGHTS[event]
        assert list(wire_records(SCHEMAS[event], frame[before:])) == [
            {field.name: record.get(field.name, field.default) for field in SCHEMAS[event].fields}
            for record in expected
        ]
