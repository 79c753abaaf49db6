"""What is DuckDB's own: its types, one process at a time, finding what is there without an index, its failures."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
import polars as pl
import pytest

from flowise_telemetry_consumer.decoding.frames import frame_of
from flowise_telemetry_consumer.errors import SinkError, SinkUnavailableError
from flowise_telemetry_consumer.sinks import Batch
from flowise_telemetry_consumer.sinks.duckdb import DuckdbSink
from flowise_telemetry_consumer.sinks.duckdb.database import ROW_GROUP_ROWS
from flowise_telemetry_consumer.sinks.event_ids import id_ranges
from flowise_telemetry_schemas import catalog
from tests.consumer.sinks.batches import batch, envelope, held, id_made_at, sizes
from tests.consumer.sinks.limits import files_of_at_most
from tests.consumer.sinks.roles import open_database
from tests.consumer.sinks.writer_process import ROOT
from tests.schemas.records import EVENTS, record_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events of a day.duckdb"


@pytest.fixture
def sink(path: Path) -> Iterator[DuckdbSink]:
    opened = DuckdbSink(path)
    opened.prepare(catalog())
    yield opened
    opened.close()


def asked(path: Path, question: str) -> list[tuple[object, ...]]:
    with contextlib.closing(duckdb.connect(str(path), read_only=True)) as db:
        rows: list[tuple[object, ...]] = db.execute(question).fetchall()
    return rows


def in_a_process(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, timeout=60, capture_output=True, text=True, check=False
    )


def tools(*event_ids: str) -> Batch:
    record = record_of(EVENTS[3], envelope(0))
    records = [{**record, "eventId": event_id} for event_id in event_ids]
    return Batch(frames={"tool_created": frame_of(catalog().latest("tool_created"), records)})


def test_other_programs_find_native_types(path: Path, sink: DuckdbSink) -> None:
    sink.write(batch())
    sink.close()
    assert asked(path, "SELECT column_type FROM (DESCRIBE prediction_sent)") == [
        (kind,)
        for kind in [
            *("UUID", "TIMESTAMP", "UUID", "UUID", "BIGINT", "VARCHAR", "UUID", "UUID", "VARCHAR"),
            'STRUCT(nodes VARCHAR[], edges STRUCT("source" VARCHAR, "target" VARCHAR)[])',
        ]
    ]
    question = (
        "SELECT occurred_at::VARCHAR, date_trunc('day', occurred_at)::VARCHAR, flow_graph.edges[1].target "
        "FROM prediction_sent"
    )
    assert asked(path, question) == [("2023-11-14 22:13:20.125", "2023-11-14 00:00:00", "conversationChain_0")]


@pytest.mark.slow
def test_one_process_at_a_time(path: Path, sink: DuckdbSink) -> None:
    sink.write(batch())
    code = f"""
from flowise_telemetry_consumer.errors import SinkUnavailableError
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_schemas import catalog
other = open_sink({f"duckdb:///{path}"!r})
for call in (lambda: other.prepare(catalog()), other.counts, other.progress, lambda: next(other.read("tool_created"))):
    try:
        call()
    except SinkUnavailableError as error:
        print(error)
"""
    told = in_a_process(code).stdout.splitlines()
    assert len(told) == 4
    assert all("is open in another program" in line for line in told)
    sink.close()
    assert in_a_process(code).stdout == ""


@pytest.mark.slow
def test_sinks_of_one_process_write_each_event_once(path: Path) -> None:
    written: list[int] = []
    failures: list[Exception] = []

    def write() -> None:
        try:
            sink = DuckdbSink(path)
            sink.prepare(catalog())
            written.extend(sum(sink.write(batch(number, repeat=20)).written.values()) for number in range(5))
            sink.close()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert sum(written) == 5 * sum(sizes(batch(repeat=20)).values())
    assert sum(DuckdbSink(path).counts().values()) == 5 * sum(sizes(batch(repeat=20)).values())


def test_ids_of_any_time_are_found_again(sink: DuckdbSink) -> None:
    hour_ms = 3_600_000
    ids = [id_made_at(number * 2 * hour_ms, number) for number in range(100)]
    assert sink.write(tools(*ids[::2])).written == {"tool_created": 50}
    result = sink.write(tools(*ids, *ids[:10]))
    assert (result.written, result.duplicates) == ({"tool_created": 50}, {"tool_created": 60})
    assert held(sink, "tool_created")["event_id"].to_list() == sorted(ids)


def test_a_batch_that_fills_a_row_group_goes_past_the_log(path: Path, sink: DuckdbSink) -> None:
    ids = [id_made_at(1_700_000_000_000 + number, number) for number in range(ROW_GROUP_ROWS + 1)]
    log = path.with_name(f"{path.name}.wal")
    before = log.stat().st_size  # tables and views
    sink.write(tools(*ids[1:]))
    assert log.stat().st_size - before < 10 * ROW_GROUP_ROWS
    assert sink.write(tools(*ids)).written == {"tool_created": 1}
    sink.close()
    assert asked(path, "SELECT count(*), count(DISTINCT event_id) FROM tool_created") == [(len(ids), len(ids))]


def test_a_table_that_another_program_wrote_anew_is_gone_on_with(path: Path, sink: DuckdbSink) -> None:
    ids = [id_made_at(1_700_000_000_000 + number, number) for number in range(3 * ROW_GROUP_ROWS)]
    sink.write(tools(*ids[:-1]))
    sink.close()
    with contextlib.closing(duckdb.connect(str(path))) as db:
        # In row groups of DuckDB's own size.
        db.execute("CREATE TABLE copied AS FROM tool_created")
        db.execute("DELETE FROM tool_created")
        db.execute("INSERT INTO tool_created FROM copied")
    assert sink.write(tools(*ids)).written == {"tool_created": 1}
    assert sink.counts()["tool_created"] == len(ids)


@pytest.mark.parametrize("name", ["it's mine.duckdb", 'a "day".duckdb', "50% #1?.duckdb", ":memory:"])
def test_a_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    sink = DuckdbSink(tmp_path / name)
    sink.prepare(catalog())
    sink.write(batch())
    sink.close()
    assert asked(tmp_path / name, "SELECT count(*) FROM tool_created") == [(1,)]
    assert sink.counts() == sizes(batch())


def test_ranges_hold_all_ids_and_are_few() -> None:
    near = [id_made_at(1_700_000_000_000 + number, number) for number in range(50)]
    odd = [id_made_at(10**10 * number, number) for number in range(1, 40)]
    assert id_ranges(pl.Series(near)) == [(near[0], near[-1])]
    assert id_ranges(pl.Series([*near, odd[0]])) == [(odd[0], odd[0]), (near[0], near[-1])]
    assert id_ranges(pl.Series([], dtype=pl.String())) == []
    ranges = id_ranges(pl.Series([*odd, *reversed(near)]))
    assert len(ranges) == 16
    assert all(any(first <= event_id <= last for first, last in ranges) for event_id in (*odd, *near))


def test_reading_goes_on_while_this_process_writes(path: Path, sink: DuckdbSink) -> None:
    sink.write(batch(0, repeat=25))
    reader = open_database(f"duckdb:///{path}")
    frames = reader.read("tool_created", batch_rows=10)
    next(frames)
    sink.write(batch(1, repeat=25))
    assert sum(frame.height for frame in frames) == 15
    assert reader.counts()["tool_created"] == 50


@pytest.mark.slow
def test_a_full_disk_is_an_outage_and_leaves_nothing_of_the_batch(path: Path, sink: DuckdbSink) -> None:
    sink.write(batch(0))
    with files_of_at_most(400_000), pytest.raises(SinkUnavailableError):
        sink.write(batch(1, repeat=3000))
    assert sink.counts() == sizes(batch())
    assert sink.write(batch(1, repeat=3000)).written == sizes(batch(repeat=3000))


def test_a_file_removed_while_open_is_told_and_made_anew(path: Path, sink: DuckdbSink) -> None:
    sink.write(batch(0))
    for file in path.parent.iterdir():
        file.unlink()
    with pytest.raises(SinkUnavailableError, match="moved or removed"):
        sink.write(batch(1))
    assert sink.write(batch(1)).written == sizes(batch())
    assert sink.counts() == sizes(batch())


def test_a_value_of_another_type_is_not_repeated(sink: DuckdbSink) -> None:
    frame = batch().frames["tool_created"].with_columns(tool_id=pl.lit("geheim"))
    with pytest.raises(SinkError, match="refused a value") as caught:
        sink.write(Batch(frames={"tool_created": frame}))
    assert "geheim" not in str(caught.value)
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing/events.db", "make the folder .*missing first"),
        ("folder", "it is a folder, name a file"),
        ("text.txt", "not a DuckDB database"),
        ("text.txt/events.db", "make the folder"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_clear_line(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.txt").write_text("not a database, and longer than the header of one " * 300)
    sink = open_database(f"duckdb:///{tmp_path}/{name}")
    with pytest.raises(SinkError, match=said) as caught:
        sink.prepare(catalog())
    assert not caught.value.retryable
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_reading_a_file_that_is_not_there_does_not_make_it(path: Path) -> None:
    sink = open_database(f"duckdb:///{path}")
    with pytest.raises(SinkError, match="no such file"):
        sink.counts()
    with pytest.raises(SinkError, match="no such file"):
        next(sink.read("tool_created"))
    assert not path.exists()
