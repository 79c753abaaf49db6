"""The views that every sink with an engine of its own has: one text of a query runs on all of them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.loss import Outcome, loss_of
from flowise_telemetry_consumer.sinks import Prunable, open_sink
from flowise_telemetry_consumer.sinks.duckdb.lake import open_lake
from flowise_telemetry_schemas import Catalog, catalog
from flowise_telemetry_schemas.node_types import node_types, node_vendors
from flowise_telemetry_schemas.own_events import read_own_events
from tests.cli.in_process import run_command
from tests.consumer.sinks.analyst import Rows, asking, rows, run
from tests.consumer.sinks.batches import batch, records, sizes, with_second_version
from tests.consumer.sinks.roles import open_database
from tests.schemas.own_folder import write
from tests.schemas.records import FLOW_ID, GRAPH, STATE

EVENTS = {event: made for event, made in records(0).items() if event != "stream_state"}
DAY = "2023-11-14"
Ask = Callable[[str], Rows]


@pytest.fixture
def filled(asked_url: str) -> str:
    with closing(open_database(asked_url)) as sink:
        sink.prepare(catalog())
        sink.write(batch())
    return asked_url


def said_of_views(caplog: pytest.LogCaptureFixture) -> list[str]:
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    return [text for text in warnings if "view" in text]


def test_each_view_shows_what_was_written(filled: str) -> None:
    with closing(open_sink(filled)) as sink:
        total = loss_of(sink, now_ms=STATE["occurredAt"]).total
    with asking(filled) as ask:
        all_events(ask)
        nodes_and_edges(ask)
        streams(ask, total)
        flows(ask)


def all_events(ask: Ask) -> None:
    question = "SELECT event, day, sequence, version, chatflow_id, chat_id, type, tool_name FROM all_events"
    wanted = [
        (event, DAY, *(one.get(name) for name in ("sequence", "version", "chatflowId", "chatId", "type", "toolName")))
        for event, made in EVENTS.items()
        for one in made
    ]
    assert sorted(ask(question), key=str) == sorted(wanted, key=str)
    assert ask("SELECT min(occurred_at) FROM all_events") == [("2023-11-14T22:13:20.123Z",)]


def nodes_and_edges(ask: Ask) -> None:
    graphs = sum(1 for made in EVENTS.values() for one in made if one.get("flowGraph", {}).get("nodes"))
    its = "SELECT node_id, node_type, vendor, count(*) FROM nodes WHERE day >= '2023-11-14' GROUP BY 1, 2, 3 ORDER BY 1"
    assert ask(its) == [
        ("bufferMemory_12", "bufferMemory", None, graphs),
        ("chatOpenAI_0", "chatOpenAI", "OpenAI", graphs),
        ("conversationChain_0", "conversationChain", None, graphs),
    ]
    question = (
        "SELECT source, target, source_type, target_type, source_vendor, target_vendor, count(*) FROM edges "
        f"WHERE chatflow_id = '{FLOW_ID}' GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1 DESC"
    )
    ends = [(edge.source, edge.target) for edge in GRAPH.edges]
    assert ask(question) == [
        (*ends[0], "chatOpenAI", "conversationChain", "OpenAI", None, graphs),
        (*ends[1], "bufferMemory", "conversationChain", None, None, graphs),
    ]
    assert ask("SELECT count(*) FROM nodes WHERE day < '2023-11-14'") == [(0,)]


def streams(ask: Ask, total: Outcome) -> None:
    columns = "numbered, received, missing, unaccounted, dropped, dropped_queue_full, dropped_invalid, ended"
    left = total.on_the_way + total.unexplained
    assert ask(f"SELECT {columns} FROM streams") == [(total.numbered, total.written, total.missing, left, 23, 20, 1, 0)]


def flows(ask: Ask) -> None:
    created, seen = "2023-11-14T22:13:20.124Z", "2023-11-14T22:13:20.128Z"
    question = "SELECT chatflow_id, first_seen, created_at, last_seen, predictions, upserts FROM flows"
    assert ask(question) == [(FLOW_ID, created, created, seen, 1, 2)]


def test_a_view_that_is_gone_is_made_again(quick_url: str, caplog: pytest.LogCaptureFixture) -> None:
    for statements in ((), ("DROP VIEW flows",)):
        run(quick_url, *statements)
        with closing(open_database(quick_url)) as sink:
            sink.prepare(catalog())
        assert rows(quick_url, "SELECT predictions FROM flows") == []
    assert not said_of_views(caplog)


def test_a_column_of_a_new_version_is_shown(filled: str, tmp_path: Path) -> None:
    newer = with_second_version(tmp_path / "schemas", "tool_created")
    with closing(open_database(filled)) as sink:
        sink.prepare([newer])
    question = "SELECT tool_name, node_count, is_draft, region FROM all_events WHERE event = 'tool_created'"
    assert rows(filled, question, [newer]) == [("get_current_datetime", 7, 1, None)]
    assert rows(filled, "SELECT count(*) FROM all_events") == [(sum(map(len, EVENTS.values())),)]


def test_who_knows_fewer_events_takes_none_away(quick_url: str, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    write(tmp_path / "own")
    both: Catalog = read_own_events(tmp_path / "own").catalog
    for schemas in (both, catalog()):
        with closing(open_database(quick_url)) as sink:
            sink.prepare(schemas)
    assert rows(quick_url, "SELECT count(*), count(label) FROM all_events WHERE event = 'thing_made'") == [(0, 0)]


def test_promoted_and_pruned_rows_show(filled: str) -> None:
    with closing(open_database(filled)) as sink, closing(sink.staging("next")) as staging:
        staging.prepare(catalog())
        staging.write(batch(1))
        staging.write(batch(2))
        sink.promote("next")
    assert rows(filled, "SELECT count(*) FROM all_events") == [(2 * sum(map(len, EVENTS.values())),)]
    assert rows(filled, "SELECT predictions, upserts FROM flows") == [(2, 4)]
    assert rows(filled, "SELECT received FROM streams") == [(12,)]
    with closing(open_sink(filled)) as pruned:
        assert isinstance(pruned, Prunable)
        list(pruned.prune(1_800_000_000_000))
    assert rows(filled, "SELECT count(*) FROM nodes") == [(0,)]
    assert rows(filled, "SELECT received FROM streams") == [(12,)]


def test_a_name_that_others_have_is_left_to_them(analyst_url: str, caplog: pytest.LogCaptureFixture) -> None:
    with closing(open_database(analyst_url)) as sink:
        sink.prepare([])
    made = " ENGINE = Memory" if analyst_url.startswith("clickhouse") else ""
    run(analyst_url, f"CREATE TABLE nodes (mine int){made}", "CREATE VIEW flows AS SELECT 7 AS mine")
    with closing(open_database(analyst_url)) as sink:
        sink.prepare(catalog())
        assert sink.write(batch()).written == sizes(batch())
    assert [text.rpartition(": flows, nodes: ")[2] for text in said_of_views(caplog)] == [
        "not made by flowise-telemetry, and left as it is: a view of that name is there once it is renamed"
    ]
    assert rows(analyst_url, "SELECT count(*) FROM nodes") == [(0,)]
    assert rows(analyst_url, "SELECT mine FROM flows") == [(7,)]
    assert rows(analyst_url, "SELECT count(*) FROM edges") == [(6,)]


@pytest.mark.slow  # object storage runs in the tests' process
def test_a_lake_on_object_storage_is_asked_as_a_copy(s3_url: str, tmp_path: Path) -> None:
    with closing(open_database(s3_url)) as sink:
        sink.prepare(catalog())
        sink.write(batch())
    with pytest.raises(SinkError) as told:
        open_lake(s3_url)
    words = str(told.value).rpartition(": flowise-telemetry ")[2].split()
    assert words[1:] == ["--source", s3_url.partition("?")[0], "--sink", "delta:///folder"]
    copied = run_command(*words, folder=tmp_path, env=dict(os.environ, AWS_ENDPOINT_URL=s3_url.rpartition("=")[2]))
    assert copied.status == 0, copied.stderr
    with asking(f"delta:///{tmp_path}/folder") as ask:
        assert ask("SELECT count(*) FROM all_events") == [(sum(map(len, EVENTS.values())),)]
        assert ask("SELECT count(*) FROM streams") == [(1,)]


def test_vendors_are_of_types_in_the_vocabulary() -> None:
    vendors = node_vendors()
    assert set(vendors) <= node_types()
    assert {vendors[name] for name in ("chatOpenAI", "openAIEmbeddings")} == {"OpenAI"}
    assert "'" not in "".join(vendors.values())
