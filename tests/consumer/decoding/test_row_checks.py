"""Rows of archives: what the columns' checks and the schema's rules say of them is the same."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowise_telemetry_consumer.decoding.frames import frame_of, polars_schema, wire_records
from flowise_telemetry_consumer.decoding.row_checks import check_rows
from flowise_telemetry_schemas import catalog, violations
from tests.consumer.sinks.batches import records
from tests.thoroughness import examples

GOOD = {event: made[0] for event, made in records(0).items()}
SCHEMA = {event: catalog().latest(event) for event in GOOD}

# Values that have the type of the column but not all the meaning of the field.
TEXT = st.none() | st.sampled_from(["", "EXTERNAL", "external", "\x00", "get_it\n", "é", "a" * 200]) | st.text()
NUMBER = st.none() | st.integers(-(2**63), 2**63 - 1) | st.sampled_from([-5, 0])
TIME = st.none() | st.sampled_from([0, -1, 1_577_836_800_000, 1_577_836_799_999, 4_102_444_800_000])
NODE = st.none() | st.sampled_from(["chatOpenAI_0", "my prompt"]) | st.text(max_size=3)
GRAPH = st.fixed_dictionaries(
    {
        "nodes": st.none() | st.lists(NODE, max_size=3),
        "edges": st.none() | st.lists(st.none() | st.fixed_dictionaries({"source": NODE, "target": NODE}), max_size=3),
    }
)
WITHHELD = st.lists(
    st.none() | st.fixed_dictionaries({"event": TEXT, "field": TEXT, "rule": TEXT, "values": NUMBER}), max_size=2
)
OF_KIND = {
    "timestamp": TIME,
    "long": NUMBER,
    "record": st.none() | GRAPH,
    "array": st.none() | WITHHELD,
    "boolean": st.none() | st.booleans(),
}


@st.composite
def rows(draw: st.DrawFn) -> tuple[str, list[dict[str, Any]]]:
    event = draw(st.sampled_from(sorted(GOOD)))
    made = []
    for _ in range(draw(st.integers(1, 4))):
        changed = draw(st.lists(st.sampled_from(SCHEMA[event].fields), max_size=2))
        made.append({**GOOD[event], **{field.name: draw(OF_KIND.get(field.kind, TEXT)) for field in changed}})
    return event, made


def loose_frame(event: str, made: list[dict[str, Any]]) -> pl.DataFrame:
    """The frame that a careless archive would give: the right types, and any values."""
    schema = SCHEMA[event]
    shape = polars_schema(schema)
    return pl.DataFrame(
        [
            pl.Series(
                field.column,
                [record[field.name] for record in made],
                pl.Int64() if field.kind == "timestamp" else shape[field.column],
            ).cast(shape[field.column])
            for field in schema.fields
        ]
    )


@settings(max_examples=examples(4))
@given(rows())
def test_a_row_is_bad_where_a_rule_says_so(drawn: tuple[str, list[dict[str, Any]]]) -> None:
    event, made = drawn
    frame = loose_frame(event, made)
    seen = list(wire_records(SCHEMA[event], frame))
    found = [(number, violations(SCHEMA[event], record)) for number, record in enumerate(seen)]
    checked = check_rows(SCHEMA[event], frame)
    assert [(bad.number, bad.violations) for bad in checked.bad] == [(at, its) for at, its in found if its]
    assert checked.good.equals(frame.filter(pl.Series([not its for _, its in found])))


@pytest.mark.parametrize("event", sorted(GOOD))
def test_records_pass_through_a_frame_unchanged(event: str) -> None:
    made = records(3, repeat=2)[event]
    assert list(wire_records(SCHEMA[event], frame_of(SCHEMA[event], made))) == made


def test_a_schema_without_enums_or_arrays_is_checked_row_by_row() -> None:
    frame = loose_frame("tool_created", [GOOD["tool_created"], {**GOOD["tool_created"], "toolName": "a b"}])
    checked = check_rows(SCHEMA["tool_created"], frame)
    assert (checked.good.height, [bad.number for bad in checked.bad]) == (1, [1])
