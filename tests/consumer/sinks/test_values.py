"""The edges of what an event may hold, and beyond them, through every sink that can be read back."""

from __future__ import annotations

import polars as pl
import pytest

from flowise_telemetry_consumer.decoding.frames import frame_of
from flowise_telemetry_consumer.sinks import Batch
from flowise_telemetry_schemas import catalog
from tests.consumer.sinks.batches import envelope, held
from tests.consumer.sinks.roles import ReadableSink
from tests.schemas.records import EVENTS, record_of

# The bounds of the schemas, and what databases have special forms for.
TIMES_MS = [1_577_836_800_000, 4_102_444_799_999, 1_709_164_800_000, 0, -1, 1_700_000_000_999]
SEQUENCES = [0, 2**53 - 1, 2**63 - 1, 2**31]


def tools(**columns: list[object]) -> pl.DataFrame:
    count = len(next(iter(columns.values())))
    schema = catalog().latest("tool_created")
    frame = frame_of(schema, [record_of(EVENTS[3], envelope(number)) for number in range(count)])
    dtypes = frame.schema
    return frame.with_columns(pl.Series(name, values).cast(dtypes[name]) for name, values in columns.items())


@pytest.mark.parametrize(
    "frame",
    [
        tools(occurred_at=[pl.Series([ms]).cast(pl.Datetime("ms", "UTC"))[0] for ms in TIMES_MS]),
        tools(sequence=[*SEQUENCES]),
        tools(version=["", " ", "0", "true", "null", "1e5", "'", "''", "\\'", "a'b'c"]),
        tools(tool_name=["'", "',", "',\n'", '"', "\\.", "\\.\n", "\u00a0", "\ufeff", "\U0010ffff", "x" * 100_000]),
    ],
    ids=["times", "sequences", "short texts", "texts"],
)
def test_what_is_written_is_what_is_read(sink: ReadableSink, frame: pl.DataFrame) -> None:
    sink.write(Batch(frames={"tool_created": frame}))
    assert held(sink, "tool_created").equals(frame)


def test_graphs_of_any_shape(sink: ReadableSink) -> None:
    graphs = [
        {"nodes": [], "edges": []},
        {"nodes": [""], "edges": [{"source": "", "target": ""}]},
        {"nodes": ["'", '"', "\\", "a'b", "\n", "\t", "ü😀\u2028", "]}", "\\u0041"], "edges": []},
        {"nodes": ["x" * 10_000] * 50, "edges": [{"source": "a", "target": "b"}] * 5000},
    ]
    schema = catalog().latest("chatflow_created")
    made = [{**record_of(EVENTS[1], envelope(number)), "flowGraph": graph} for number, graph in enumerate(graphs)]
    frame = frame_of(schema, made)
    sink.write(Batch(frames={"chatflow_created": frame}))
    assert held(sink, "chatflow_created").equals(frame)


def test_ids_that_come_in_any_order(sink: ReadableSink) -> None:
    schema = catalog().latest("tool_created")
    numbers = [5, 3, 9, 1, 7, 3]
    frame = frame_of(schema, [record_of(EVENTS[3], envelope(number)) for number in numbers])
    result = sink.write(Batch(frames={"tool_created": frame}))
    assert (result.written, result.duplicates) == ({"tool_created": 5}, {"tool_created": 1})
    assert held(sink, "tool_created").equals(frame.unique("event_id", keep="first").sort("event_id"))
