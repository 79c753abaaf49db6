"""What is ClickHouse's own: its types, turns, batches that never become whole, promotions that are killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from flowise_telemetry_consumer.errors import FencedError, SinkError, SinkUnavailableError
from flowise_telemetry_consumer.sinks import Batch
from flowise_telemetry_consumer.sinks.claims import PROGRESS_TABLE
from flowise_telemetry_consumer.sinks.clickhouse import ClickhouseSink, log, open_clickhouse, recent_ids, tables, turn
from flowise_telemetry_consumer.sinks.clickhouse.address import address_of
from flowise_telemetry_consumer.sinks.clickhouse.server import Server
from flowise_telemetry_schemas import ConfigurationError, catalog
from flowise_telemetry_transport.types import TopicPartition
from tests.consumer.sinks.batches import batch, held, sizes
from tests.consumer.sinks.clickhouse_engine import Engine

pytestmark = pytest.mark.slow  # each starts the engine

TP0 = TopicPartition("flowise.telemetry.events", 0)
EVENTS = sorted(sizes(batch()))


@pytest.fixture
def url(engine: Engine) -> str:
    return engine.database()


@pytest.fixture
def sink(url: str) -> Iterator[ClickhouseSink]:
    opened = open_clickhouse(url)
    opened.prepare(catalog())
    yield opened
    opened.close()


@pytest.fixture
def second(url: str, sink: ClickhouseSink) -> Iterator[ClickhouseSink]:
    """Another consumer, who waits for nobody."""
    opened = ClickhouseSink(address_of(url), turn_seconds=0)
    opened.prepare(catalog())
    yield opened
    opened.close()


@pytest.fixture
def server(url: str, sink: ClickhouseSink) -> Iterator[Server]:
    """Another program that reads the tables."""
    opened = Server(address_of(url))
    yield opened
    opened.close()


def of_group(number: int, offset: int) -> Batch:
    return replace(batch(number), offsets={TP0: offset}, source="group")


def times(count: int) -> dict[str, int]:
    return {event: count * size for event, size in sizes(batch()).items()}


def rows_there(server: Server) -> dict[str, int]:
    return {event: server.rows(f"SELECT count() FROM {event}")[0][0] for event in EVENTS}


def interrupt(monkeypatch: pytest.MonkeyPatch, table: str, act: Callable[[], None], *, after: bool = False) -> None:
    """Act once, before (or after) the next insert into a table."""
    done = False

    def acting(method: str) -> None:
        insert = getattr(Server, method)

        def inserting(self: Server, into: str, *rows: object, token: str) -> None:
            nonlocal done
            its = into == table and not done and not token.startswith("begin")
            done = done or its
            if its and not after:
                act()
            insert(self, into, *rows, token=token)
            if its and after:
                act()

        monkeypatch.setattr(Server, method, inserting)

    acting("insert")
    acting("insert_rows")


def test_other_programs_find_native_types(sink: ClickhouseSink, server: Server) -> None:
    sink.write(batch())
    its = "database = currentDatabase() AND table = 'prediction_sent'"
    types = server.rows(f"SELECT type FROM system.columns WHERE {its} ORDER BY position")
    assert [kind for (kind,) in types] == [
        *("UUID", "DateTime64(3, 'UTC')", "UUID", "UUID", "Int64", "String", "UUID", "UUID", "LowCardinality(String)"),
        "Tuple(nodes Array(String), edges Array(Tuple(source String, target String)))",
        "UInt64",
    ]
    question = "SELECT toString(occurred_at), flow_graph.edges[1].target FROM prediction_sent"
    assert server.rows(question) == [("2023-11-14 22:13:20.125", "conversationChain_0")]


@pytest.mark.parametrize("whole", [1, len(EVENTS)])
def test_a_writer_that_stood_still_is_fenced_and_what_it_left_is_never_shown(
    sink: ClickhouseSink, second: ClickhouseSink, server: Server, monkeypatch: pytest.MonkeyPatch, whole: int
) -> None:
    sink.claim("group", [TP0])
    sink.write(of_group(0, 1))

    def another() -> None:
        assert second.claim("group", [TP0]) == {TP0: 1}
        assert second.write(of_group(1, 2)).written == times(1)

    # In the middle of its tables, or between them and the commit.
    interrupt(monkeypatch, EVENTS[whole - 1], another, after=True)
    with pytest.raises((SinkUnavailableError, FencedError)):
        sink.write(of_group(1, 2))
    with pytest.raises(FencedError):
        sink.write(of_group(1, 2))
    assert sink.counts() == times(2)
    assert {event: held(sink, event).height for event in EVENTS} == times(2)
    assert [dict(its.next_offsets) for its in sink.progress()] == [{TP0: 2}]
    # Each turn deletes what it finds of such batches.
    assert rows_there(server) == times(2)


def test_a_slow_batch_is_annulled_by_the_next_and_comes_again(
    sink: ClickhouseSink, second: ClickhouseSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(monkeypatch, EVENTS[2], lambda: assert_written(second))
    with pytest.raises(SinkUnavailableError, match="took longer"):
        sink.write(batch())
    assert sink.write(batch()).duplicates == times(1)
    assert sink.counts() == times(1)


def assert_written(sink: ClickhouseSink) -> None:
    assert sink.write(batch()).written == times(1)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("table", [EVENTS[0], EVENTS[-1], PROGRESS_TABLE])
def test_an_insert_without_an_answer_is_repeated_and_changes_nothing(
    sink: ClickhouseSink, server: Server, monkeypatch: pytest.MonkeyPatch, table: str, after: bool
) -> None:
    sink.claim("group", [TP0])

    def lost() -> None:
        raise SinkUnavailableError("the connection was lost")

    interrupt(monkeypatch, table, lost, after=after)
    with pytest.raises(SinkUnavailableError):
        sink.write(of_group(0, 1))
    result = sink.write(of_group(0, 1))
    assert result.written == (times(0) if after and table == PROGRESS_TABLE else times(1))
    assert sink.counts() == times(1)
    sink.prepare(catalog())
    assert rows_there(server) == times(1)
    assert [dict(its.next_offsets) for its in sink.progress()] == [{TP0: 1}]


def test_the_log_stays_short_and_says_the_same(
    sink: ClickhouseSink, second: ClickhouseSink, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn, "_MOST_ROWS", 6)
    sink.claim("group", [TP0], description="live")
    second.claim("replay", [TP0])
    for number in range(12):
        sink.write(of_group(number, number + 1))
        second.write(replace(batch(number), offsets={TP0: number * 2}, source="replay"))
    assert sink.counts() == times(12)
    assert server.rows(f"SELECT count() FROM {PROGRESS_TABLE}")[0][0] < 20
    group, replay = sink.progress()
    assert (group.description, dict(group.next_offsets), dict(replay.next_offsets)) == ("live", {TP0: 12}, {TP0: 22})
    assert second.claim("group", [TP0]) == {TP0: 12}
    with pytest.raises(FencedError):
        sink.write(of_group(12, 13))


def test_what_never_became_whole_stays_hidden_when_the_log_is_summed_up(
    sink: ClickhouseSink, second: ClickhouseSink, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn, "_MOST_ROWS", 3)
    sink.claim("group", [TP0])

    def another() -> None:
        second.claim("group", [TP0])
        for number in range(4):
            second.write(of_group(number, number + 1))

    interrupt(monkeypatch, EVENTS[0], another)
    with pytest.raises(SinkUnavailableError):
        sink.write(of_group(0, 1))
    assert rows_there(server) == times(5)
    assert second.counts() == times(4)


@pytest.mark.parametrize("done", [0, 1, 4])
def test_a_promotion_that_was_killed_is_finished_by_the_next_write(
    sink: ClickhouseSink, second: ClickhouseSink, monkeypatch: pytest.MonkeyPatch, done: int
) -> None:
    staging = sink.staging("next")
    staging.prepare(catalog())
    sink.write(batch(0))
    for number in range(1, 4):
        staging.write(batch(number))
    execute = Server.execute
    left = done

    def killed(self: Server, statement: str) -> None:
        nonlocal left
        if statement.startswith("EXCHANGE"):
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
        execute(self, statement)

    with monkeypatch.context() as patch:
        patch.setattr(Server, "execute", killed)
        with pytest.raises(KeyboardInterrupt):
            sink.promote("next")
    assert second.write(batch(1)).duplicates == times(1)
    assert (sink.counts(), staging.counts()) == (times(3), times(1))
    staging.close()


def test_many_ids_of_the_same_hours_are_sent_and_not_fetched(
    sink: ClickhouseSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink.write(batch(0, repeat=50))
    monkeypatch.setattr(tables, "_FETCHED_IDS", 10)
    monkeypatch.setattr(tables, "_SENT_IDS", 30)
    both = {
        event: pl.concat([frame, batch(1, repeat=50).frames[event]]) for event, frame in batch(0, 50).frames.items()
    }
    result = sink.write(Batch(frames=both))
    assert result.written == result.duplicates == {event: 50 * size for event, size in times(1).items()}


def test_a_page_ends_between_events_of_the_same_millisecond(sink: ClickhouseSink) -> None:
    frame = batch(0, repeat=25).frames["tool_created"]
    same = frame.with_columns(occurred_at=frame["occurred_at"][0])
    sink.write(Batch(frames={"tool_created": same}))
    assert [page.height for page in sink.read("tool_created", batch_rows=10)] == [10, 10, 5]
    assert held(sink, "tool_created", batch_rows=10).equals(same)


def test_reading_goes_on_in_the_same_table_when_it_is_promoted_away(sink: ClickhouseSink) -> None:
    staging = sink.staging("next")
    staging.prepare(catalog())
    sink.write(batch(0, repeat=25))
    reading = sink.read("tool_created", batch_rows=10)
    seen = next(reading).height
    sink.promote("next")
    assert seen + sum(frame.height for frame in reading) == 25
    staging.close()


def test_a_log_without_an_order_is_refused(sink: ClickhouseSink, server: Server) -> None:
    server.execute(f"DROP TABLE {PROGRESS_TABLE}")
    server.execute(f"CREATE TABLE {PROGRESS_TABLE} (kind String) ENGINE = Memory")
    with pytest.raises(SinkError, match="is Memory, and only the MergeTree of one server") as caught:
        sink.prepare(catalog())
    assert not caught.value.retryable


def test_a_value_of_another_type_is_not_repeated(sink: ClickhouseSink) -> None:
    frame = batch().frames["tool_created"].with_columns(tool_id=pl.lit("geheim"))
    with pytest.raises(SinkError) as caught:
        sink.write(Batch(frames={"tool_created": frame}))
    assert "geheim" not in str(caught.value)
    assert not caught.value.retryable
    assert sink.write(batch()).written == times(1)


def test_every_kind_of_row_of_the_log_has_its_place() -> None:
    ranked: Any = log._RANKS
    assert sorted(ranked, key=ranked.get)[:4] == ["state", "begin", "annul", "commit"]


@pytest.mark.parametrize(
    ("url", "shown", "port", "secure"),
    [
        ("clickhouse://me:geheim@db.example/usage", "clickhouse://me:***@db.example:8443/usage", 8443, True),
        ("clickhouse://db:8123", "clickhouse://db:8123/default", 8123, False),
        ("clickhouse://me@[::1]:9000/a?secure=true", "clickhouse://me@[::1]:9000/a", 9000, True),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, shown: str, port: int, secure: bool) -> None:
    address = address_of(url, {"CLICKHOUSE_PASSWORD": "other"})
    assert (address.shown, address.arguments["port"], address.arguments["secure"]) == (shown, port, secure)
    assert address.arguments["password"] == ("geheim" if ":geheim" in url else "other")
    assert "geheim" not in repr(address)


@pytest.mark.parametrize(
    "url",
    [
        "clickhouse:///",
        "clickhouse://",
        "clickhouse://h:geheim/x",
        "clickhouse://h/geheim/x",
        "clickhouse://h?a=geheim",
        "clickhouse:///folder?a=geheim",
        "clickhouse:///folder?database=a/geheim",
        "clickhouse:///folder?geheim",
    ],
)
def test_an_address_that_cannot_be_read_is_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError, match="not a ClickHouse URL") as caught:
        address_of(url)
    assert "geheim" not in str(caught.value)


def test_a_server_that_is_not_there_is_an_outage() -> None:
    sink = open_clickhouse("clickhouse://me:geheim@127.0.0.1:1/usage?secure=false")
    with pytest.raises(
        SinkUnavailableError, match=r"clickhouse://me:\*\*\*@127\.0\.0\.1:1/usage cannot be reached"
    ) as caught:
        sink.counts()
    assert "geheim" not in str(caught.value)
    sink.close()


def test_ids_are_remembered_only_while_nobody_else_writes(
    sink: ClickhouseSink, second: ClickhouseSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    rows, frame = Server.rows, Server.frame

    def counting(self: Server, statement: str, **options: Any) -> Any:
        asked.append(statement)
        return rows(self, statement, **options)

    def framing(self: Server, statement: str, **options: Any) -> Any:
        asked.append(statement)
        return frame(self, statement, **options)

    monkeypatch.setattr(Server, "rows", counting)
    monkeypatch.setattr(Server, "frame", framing)
    for number in range(3):
        assert sink.write(batch(number)).written == times(1)
    asked.clear()
    assert sink.write(batch(3)).written == times(1)
    assert sink.write(batch(1)).duplicates == times(1)
    assert sink.write(batch(3)).duplicates == times(1)
    assert not [statement for statement in asked if "tool_created" in statement]
    assert second.write(batch(4)).written == times(1)
    assert sink.write(batch(4)).duplicates == times(1)
    # Alone again, it asks what is there from its ids on.
    assert sink.write(batch(2)).duplicates == times(1)
    assert sink.write(batch(1)).duplicates == times(1)
    assert sink.counts() == times(5)


@pytest.mark.parametrize("before", [0, 2])
def test_the_ids_of_a_batch_that_failed_are_not_remembered(
    sink: ClickhouseSink, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    for number in range(before):
        sink.write(batch(number))

    def lost() -> None:
        raise SinkUnavailableError("the connection was lost")

    interrupt(monkeypatch, EVENTS[3], lost)
    with pytest.raises(SinkUnavailableError):
        sink.write(batch(before))
    assert sink.write(batch(before)).written == times(1)
    assert sink.counts() == times(before + 1)


@pytest.mark.parametrize("small_part", [1, 1_000])
@pytest.mark.parametrize("numbers", [range(8), (3, 0, 6, 1, 7, 2, 5, 4)], ids=["in order", "out of order"])
def test_only_so_many_ids_are_remembered(
    sink: ClickhouseSink, monkeypatch: pytest.MonkeyPatch, small_part: int, numbers: Sequence[int]
) -> None:
    monkeypatch.setattr(recent_ids, "_MOST_IDS", 40)
    monkeypatch.setattr(recent_ids, "_SMALL_PART", small_part)
    for number in numbers:
        assert sink.write(batch(number, repeat=10)).written == sizes(batch(repeat=10))
    for number in numbers:
        assert sink.write(batch(number, repeat=10)).duplicates == sizes(batch(repeat=10))
    assert sink.counts() == {event: 80 * size for event, size in times(1).items()}


def test_a_folder_holds_several_databases(engine: Engine) -> None:
    urls = [engine.database(), engine.database()]
    for times_written, url in enumerate(urls):
        sink = open_clickhouse(url)
        assert sink.url == url
        sink.prepare(catalog())
        for number in range(times_written):
            sink.write(batch(number))
        assert sink.counts() == times(times_written)
        sink.close()


def test_a_crash_ends_the_process_at_once(tmp_path: Path) -> None:
    code = f"""
import ctypes, threading
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_schemas import catalog
sink = open_sink("clickhouse:///{tmp_path}/events")
sink.prepare(catalog())
crash = threading.Thread(target=ctypes.CDLL(None).memset, args=(8, 1, 8))
crash.start()
crash.join()
"""
    done = subprocess.run([sys.executable, "-c", code], timeout=120, check=False, capture_output=True)
    assert done.returncode == -signal.SIGSEGV
