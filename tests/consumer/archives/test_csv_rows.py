"""Rows of CSV, whatever is in them: the same in one block or many, each a valid row or a reject."""

from __future__ import annotations

import csv
import io
import json
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from flowise_telemetry_consumer.archives.csv_rows import CsvRows
from flowise_telemetry_consumer.archives.json_lines import Parsed
from flowise_telemetry_consumer.archives.rejects import Reject
from flowise_telemetry_consumer.sinks.rows import newest
from flowise_telemetry_schemas import catalog, violations
from tests.consumer.archives.lines import documents
from tests.thoroughness import examples

SCHEMAS = newest(catalog())
DOCUMENTS = documents()
NAMES = list(dict.fromkeys(name for document in DOCUMENTS for name in document["properties"]))
HEADER = ",".join(["event", *NAMES]).encode()

# One line of the file stands for one event, so that what a stray quote takes along can be counted.
ROWS: list[bytes] = []
for _document in DOCUMENTS:
    _text = io.StringIO()
    _cells = [_document["properties"].get(name) for name in NAMES]
    csv.writer(_text).writerow(
        [_document["event"], *(json.dumps(cell) if isinstance(cell, dict | list) else cell for cell in _cells)]
    )
    ROWS.append(_text.getvalue().strip().encode())

JUNK = st.binary(max_size=8).map(lambda junk: junk.replace(b"\n", b" ")) | st.sampled_from(
    [b'"', b'""', b'"""', b",", b"\x00", b"\r", b"\xff", b'"\r', b"NaN", b"-", b"9" * 5_000, b"\xed\xa0\x80"]
)


@st.composite
def hostile(draw: st.DrawFn) -> bytes:
    """A row of ours with any bytes in the place of a few."""
    row = draw(st.sampled_from(ROWS))
    start = draw(st.integers(0, len(row)))
    end = min(len(row), start + draw(st.integers(0, 30)))
    return row[:start] + draw(JUNK) + row[end:]


def parsed(lines: list[bytes], cuts: list[int]) -> list[Parsed | Reject]:
    """What comes of the lines if they are read in blocks that end at ``cuts``."""
    rows = CsvRows("a.csv", SCHEMAS)
    rows.read_header(HEADER)
    found: list[Parsed | Reject] = []
    edges = sorted({0, *(min(cut, len(lines)) for cut in cuts), len(lines)})
    for start, end in pairwise(edges):
        rows.add(lines[start:end], start + 2)
        found += rows.rows(at_end=False)
        assert rows.waiting_bytes <= sum(len(line) + 1 for line in lines[:end])
    found += rows.rows(at_end=True)
    assert rows.waiting_bytes == 0
    return found


@settings(max_examples=examples(4))
@given(st.lists(hostile() | st.sampled_from(ROWS), min_size=1, max_size=8), st.lists(st.integers(1, 7), max_size=3))
def test_whatever_is_in_a_row_it_is_a_valid_event_or_a_reject(lines: list[bytes], cuts: list[int]) -> None:
    found = parsed(lines, [])
    assert parsed(lines, cuts) == found
    for one in found:
        if isinstance(one, Parsed):
            assert violations(SCHEMAS[one.event], one.record) == []
        else:
            assert one.line is not None
            assert 2 <= one.line <= len(lines) + 1
    assert len(found) <= len(lines)


@settings(max_examples=examples(2))
@given(hostile())
def test_a_row_leaves_those_around_it_alone(row: bytes) -> None:
    """Unless its quotes make one row of it and of the next line: then both are told by the first's number."""
    around = [ROWS[0], row, ROWS[3], ROWS[1]]
    good = [one.record["eventId"] for one in parsed(around, []) if isinstance(one, Parsed)]
    assert good[0] == DOCUMENTS[0]["properties"]["eventId"]
    assert good[-1] == DOCUMENTS[1]["properties"]["eventId"]
