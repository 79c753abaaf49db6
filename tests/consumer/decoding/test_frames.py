"""Frames: the columns of a schema, and records into them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from flowise_telemetry_consumer.decoding.frames import frame_of, polars_schema
from flowise_telemetry_schemas import catalog
from tests.consumer.sinks.batches import with_second_version
from tests.schemas.records import EVENTS, record_of

GRAPH = pl.Struct(
    {
        "nodes": pl.List(pl.String()),
        "edges": pl.List(pl.Struct({"source": pl.String(), "target": pl.String()})),
    }
)


def test_columns_are_the_fields_in_snake_case_and_order() -> None:
    assert list(polars_schema(catalog().latest("vector_upserted")).items()) == [
        ("event_id", pl.String()),
        ("occurred_at", pl.Datetime("ms", "UTC")),
        ("instance_id", pl.String()),
        ("stream_id", pl.String()),
        ("sequence", pl.Int64()),
        ("version", pl.String()),
        ("chatflow_id", pl.String()),
        ("type", pl.String()),
        ("flow_graph", GRAPH),
        ("stop_node_id", pl.String()),
    ]


def test_the_schema_is_the_callers_own() -> None:
    schema = catalog().latest("tool_created")
    polars_schema(schema).clear()
    assert polars_schema(schema)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.EVENT)
def test_a_record_is_a_row(event: object) -> None:
    chosen = next(known for known in EVENTS if known is event)
    schema, record = catalog().latest(chosen.EVENT), record_of(chosen)
    frame = frame_of(schema, [record, record])
    assert dict(frame.schema) == polars_schema(schema)
    row = frame.row(1, named=True)
    assert row.pop("occurred_at") == datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC)
    assert list(row.values()) == [value for name, value in record.items() if name != "occurredAt"]


@pytest.mark.parametrize("event", catalog().events)
def test_no_records_are_a_frame_of_the_same_columns(event: str) -> None:
    schema = catalog().latest(event)
    frame = frame_of(schema, [])
    assert (frame.height, dict(frame.schema)) == (0, polars_schema(schema))


def test_what_a_record_leaves_out_takes_its_default(tmp_path: Path) -> None:
    schema = with_second_version(tmp_path, "tool_created")
    (row,) = frame_of(schema, [record_of(EVENTS[3])]).rows(named=True)
    added = ("node_count", "is_draft", "note", "region", "tags", "port_links")
    assert [row[name] for name in added] == [7, True, "don't", None, ["a", "b"], [{"from_port": "x_0", "to_ports": 2}]]


@pytest.mark.parametrize(
    ("name", "value"), [("toolName", 1), ("sequence", "1"), ("occurredAt", "now"), ("sequence", 2**70)]
)
def test_a_value_of_another_type_is_refused(name: str, value: object) -> None:
    with pytest.raises((TypeError, OverflowError, pl.exceptions.PolarsError)):
        frame_of(catalog().latest("tool_created"), [{**record_of(EVENTS[3]), name: value}])


def test_a_field_that_is_missing_is_refused() -> None:
    record = record_of(EVENTS[3])
    del record["toolName"]
    with pytest.raises(KeyError):
        frame_of(catalog().latest("tool_created"), [record])
