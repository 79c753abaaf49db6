"""What is SQLite's own: what other programs see in the file, its locks and its failures."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowise_telemetry_consumer.errors import SinkError, SinkUnavailableError
from flowise_telemetry_consumer.sinks.sqlite import SqliteSink, database
from flowise_telemetry_schemas import catalog
from tests.consumer.sinks.batches import batch, sizes
from tests.consumer.sinks.limits import files_of_at_most
from tests.consumer.sinks.roles import open_database
from tests.consumer.sinks.writer_process import ROOT


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events of a day.db"


@pytest.fixture
def sink(path: Path) -> Iterator[SqliteSink]:
    opened = SqliteSink(path, busy_timeout_seconds=0.1)
    opened.prepare(catalog())
    yield opened
    opened.close()


@contextlib.contextmanager
def other_program(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        yield db


def test_other_programs_find_dates_and_json(path: Path, sink: SqliteSink) -> None:
    sink.write(batch())
    with other_program(path) as db:
        row = db.execute(
            "SELECT occurred_at, date(occurred_at), typeof(sequence), json_extract(flow_graph, '$.edges[0].target') "
            "FROM prediction_sent"
        ).fetchone()
    assert row == ("2023-11-14T22:13:20.125Z", "2023-11-14", "integer", "conversationChain_0")


def test_other_programs_read_while_it_is_written(path: Path, sink: SqliteSink) -> None:
    sink.write(batch(0))
    with other_program(path) as db:
        db.execute("BEGIN")
        assert db.execute("SELECT count(*) FROM tool_created").fetchone() == (1,)
        assert sink.write(batch(1)).written["tool_created"] == 1
        assert db.execute("SELECT count(*) FROM tool_created").fetchone() == (1,)
    assert sink.counts()["tool_created"] == 2


def test_a_log_that_a_reader_made_large_is_cut_again(
    path: Path, sink: SqliteSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_LARGE_LOG_BYTES", 2_000_000)
    log = path.with_name(f"{path.name}-wal")
    with other_program(path) as db:
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM tool_created").fetchone()
        for number in range(12):
            sink.write(batch(number, repeat=40))
    grown = log.stat().st_size
    assert sink.write(batch(1_000)).written == sizes(batch())
    assert grown > 2_000_000 > log.stat().st_size
    assert sink.counts() == {event: (12 * 40 + 1) * size for event, size in sizes(batch()).items()}
    with other_program(path) as db:  # a lock is waited for as before
        db.execute("BEGIN IMMEDIATE")
        with pytest.raises(SinkUnavailableError, match=r"for 0\.1 s"):
            sink.write(batch(1_001))


def test_a_lock_is_waited_for_and_then_told_as_an_outage(path: Path, sink: SqliteSink) -> None:
    with other_program(path) as db:
        db.execute("BEGIN IMMEDIATE")
        with pytest.raises(SinkUnavailableError, match=r"locked by another program for 0\.1 s") as caught:
            sink.write(batch())
        assert caught.value.retryable
        db.execute("ROLLBACK")
    assert sink.write(batch()).written == sizes(batch())


def test_a_full_disk_is_an_outage_and_leaves_nothing_of_the_batch(path: Path, sink: SqliteSink) -> None:
    sink.write(batch(0))
    with files_of_at_most(200_000), pytest.raises(SinkUnavailableError):
        sink.write(batch(1, repeat=1000))
    assert sink.counts() == sizes(batch())
    assert sink.write(batch(1, repeat=1000)).written == sizes(batch(repeat=1000))


def test_a_file_removed_while_open_is_told_and_made_anew(path: Path, sink: SqliteSink) -> None:
    sink.write(batch(0))
    for file in path.parent.iterdir():
        file.unlink()
    with pytest.raises(SinkUnavailableError, match="moved or removed"):
        sink.write(batch(1))
    assert sink.write(batch(1)).written == sizes(batch())
    assert sink.counts() == sizes(batch())


def test_a_kill_between_insert_and_commit_changes_nothing(path: Path, sink: SqliteSink) -> None:
    sink.write(batch(0))
    code = f"""
import os, signal, sqlite3
class Doomed(sqlite3.Connection):
    def execute(self, statement, *parameters):
        if statement == "COMMIT" and self.total_changes:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().execute(statement, *parameters)
connect = sqlite3.connect
sqlite3.connect = lambda *given, **named: connect(*given, **named, factory=Doomed)
from tests.consumer.sinks.writer_process import main
main({f"sqlite:///{path}"!r}, "2", "50")
"""
    killed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, capture_output=True, check=False)
    assert (killed.returncode, killed.stdout) == (-9, b"")
    assert sink.counts() == sizes(batch())


def test_every_commit_is_on_the_disk(sink: SqliteSink, monkeypatch: pytest.MonkeyPatch) -> None:
    sink.close()
    seen: list[str] = []
    connect = sqlite3.connect

    def connect_and_listen(*given: object, **named: object) -> sqlite3.Connection:
        db: sqlite3.Connection = connect(*given, **named)  # type: ignore[call-overload]  # handed through
        db.set_trace_callback(seen.append)
        return db

    monkeypatch.setattr(sqlite3, "connect", connect_and_listen)
    sink.write(batch())
    assert {"PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"} <= set(seen)


def test_views_show_the_rows_that_a_swap_brought(path: Path, sink: SqliteSink) -> None:
    beside = sink.staging("next")
    beside.prepare(catalog())
    beside.write(batch(0, repeat=3))
    sink.write(batch(0))
    with other_program(path) as db:
        db.execute("CREATE VIEW total AS SELECT count(*) FROM tool_created")
        # Of no concern to a swap, although it cannot be read any more.
        db.execute("CREATE VIEW broken AS SELECT lost FROM nowhere")
        for expected in (3, 1):
            sink.promote("next")
            assert db.execute("SELECT * FROM total").fetchone() == (expected,)
        sizes_by_table = dict(
            db.execute("SELECT tbl_name, count(*) FROM sqlite_master WHERE type = 'index' GROUP BY 1")
        )
    assert sizes_by_table["tool_created"] == sizes_by_table["next__tool_created"] == 2
    beside.close()


def test_a_swap_in_a_file_that_is_not_there_does_not_make_it(path: Path) -> None:
    with pytest.raises(SinkError, match="no such file"):
        open_database(f"sqlite:///{path}").promote("next")
    assert not path.exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing/events.db", "make the folder .*missing first"),
        ("folder", "it is a folder, name a file"),
        ("text.txt", "not an SQLite database"),
        ("text.txt/events.db", "make the folder"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_clear_line(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.txt").write_text("not a database, and longer than the header of one " * 30)
    sink = open_database(f"sqlite:///{tmp_path}/{name}")
    with pytest.raises(SinkError, match=said) as caught:
        sink.prepare(catalog())
    assert not caught.value.retryable
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_reading_a_file_that_is_not_there_does_not_make_it(path: Path) -> None:
    sink = open_database(f"sqlite:///{path}")
    with pytest.raises(SinkError, match="no such file"):
        sink.counts()
    with pytest.raises(SinkError, match="no such file"):
        next(sink.read("tool_created"))
    assert not path.exists()


def test_a_relative_file_stays_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sink = open_database("sqlite:///a?b#c%20.db")
    sink.prepare(catalog())
    sink.close()
    assert sink.url == "sqlite:///a?b#c%20.db"
    assert [file.name for file in tmp_path.iterdir()] == ["a?b#c%20.db"]
    assert sink.counts()["tool_created"] == 0
