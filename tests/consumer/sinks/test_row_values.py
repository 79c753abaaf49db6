"""Rows that somebody changed in the database: the others are read, and a replay names the bad ones."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from flowise_telemetry_consumer.archives.rejects import Reject
from flowise_telemetry_consumer.replay import replay_archive
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_schemas import catalog
from tests.consumer.sinks.batches import batch, sizes
from tests.consumer.world import MemorySink

GRAPH = '{"nodes":[],"edges":[]}'


@pytest.mark.parametrize(
    ("event", "column", "value", "field"),
    [
        ("tool_created", "occurred_at", "yesterday", "occurredAt"),
        ("tool_created", "occurred_at", 5, "occurredAt"),
        ("tool_created", "sequence", "abc", "sequence"),
        ("tool_created", "sequence", 1e20, "sequence"),
        ("tool_created", "tool_name", b"\xff\x00", "toolName"),
        ("tool_created", "tool_name", 5.5, "toolName"),
        ("vector_upserted", "stop_node_id", b"\xff\x00", "stopNodeId"),
        ("prediction_sent", "flow_graph", "", "flowGraph"),
        ("prediction_sent", "flow_graph", "{", "flowGraph"),
        ("prediction_sent", "flow_graph", "null", "flowGraph"),
        ("prediction_sent", "flow_graph", f"{GRAPH},{GRAPH}", "flowGraph"),
        ("prediction_sent", "flow_graph", '{"nodes":["my prompt"],"edges":[]}', "flowGraph.nodes[0]"),
        ("prediction_sent", "flow_graph", '{"nodes":[null],"edges":[]}', "flowGraph.nodes[0]"),
        ("prediction_sent", "type", "internal", "type"),
    ],
)
def test_a_value_of_another_type_is_a_reject_and_no_more(
    event: str, column: str, value: object, field: str, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    with closing(open_sink(url)) as sink:
        sink.prepare(catalog())
        sink.write(batch(0, repeat=3))
    with closing(sqlite3.connect(tmp_path / "a.db")) as db, db:
        db.execute(f"UPDATE {event} SET {column} = ? WHERE rowid = 2", (value,))
    rejects: list[Reject] = []
    target = MemorySink()
    with closing(open_sink(url)) as sink:
        result = replay_archive(sink, target, catalog(), on_rejects=rejects.extend)
    assert [(reject.event, reject.row, reject.field) for reject in rejects] == [(event, 2, field)]
    assert (result.discrepancies(), result.written) == ([], sum(sizes(batch(0, repeat=3)).values()) - 1)
