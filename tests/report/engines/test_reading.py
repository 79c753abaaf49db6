"""Engines beside those who write, with as few rights as can be, and on sinks that lack something."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import uuid
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from flowise_telemetry_consumer.errors import SinkError, SinkUnavailableError
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_report.engines import open_engine
from flowise_telemetry_report.engines.duckdb import MEMORY_LIMIT, DuckdbEngine
from flowise_telemetry_report.making import make_report
from flowise_telemetry_schemas import catalog
from tests.report.world import World

NOW_MS = 1_790_000_000_000
WORLD = World(installations=3, events=40)


def test_a_sink_without_events_has_a_report_that_says_so(file_url: str) -> None:
    with closing(open_sink(file_url)) as sink:
        sink.prepare(catalog())
    report = make_report(file_url, now_ms=NOW_MS)
    assert report.notes[0] == "There are no events in this period."
    rows = [figure.rows for section in report.sections for figure in section.figures if figure.id != "overview"]
    assert not any(rows)


def test_each_query_can_be_run_again_by_itself(file_url: str) -> None:
    WORLD.write(file_url)
    report = make_report(file_url, now_ms=NOW_MS)
    with closing(open_engine(file_url)) as engine:
        for section in report.sections:
            for figure in section.figures:
                assert len(engine.rows(figure.query)) == len(figure.rows), figure.id


def test_sqlite_is_read_while_it_is_written(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    WORLD.write(url)
    with closing(open_engine(url)) as engine, closing(sqlite3.connect(tmp_path / "a.db")) as writer:
        before = engine.rows("SELECT count(*) FROM all_events")
        writer.execute("DELETE FROM prediction_sent")
        writer.commit()
        assert engine.rows("SELECT count(*) FROM all_events") == before
        with pytest.raises(SinkError, match="may not be written"):
            engine.rows("DELETE FROM prediction_sent")


def test_a_report_that_has_no_room_says_which(tmp_path: Path) -> None:
    url = f"duckdb:///{tmp_path}/a.duckdb"
    WORLD.write(url)
    with closing(open_engine(url)) as engine:
        assert isinstance(engine, DuckdbEngine)
        engine.db.execute("SET memory_limit = '60MB'")
        with pytest.raises(SinkError, match=f"takes more than {MEMORY_LIMIT} of memory: a later since takes less"):
            engine.rows("SELECT list(md5(range::text)) FROM range(3000000)")
        engine.db.execute("SET max_temp_directory_size = '1MB'")
        with pytest.raises(SinkUnavailableError, match="is full: set TMPDIR to a larger"):
            engine.keep("large", "SELECT md5(range::text) AS a FROM range(3000000)")


def test_a_sink_from_before_the_views_says_who_makes_them(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db")) as old:
        old.execute("CREATE TABLE prediction_sent (event_id TEXT)")
    with pytest.raises(SinkError, match="has no view all_events that may be read: a consumer of this version makes"):
        make_report(f"sqlite:///{tmp_path}/a.db", now_ms=NOW_MS)


def test_a_part_that_is_missing_is_one_line(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    WORLD.write(url)
    with closing(sqlite3.connect(tmp_path / "a.db")) as db:
        db.execute("DROP VIEW streams")
    report = make_report(url, now_ms=NOW_MS)
    notes = {figure.id: figure.note for section in report.sections for figure in section.figures}
    assert "This sink has no streams: not known." in notes["loss"]
    assert "This sink has no streams: not known." in notes["drops"]


@pytest.mark.slow
def test_a_duckdb_that_another_process_writes_to_says_what_to_do(tmp_path: Path) -> None:
    url = f"duckdb:///{tmp_path}/a.duckdb"
    WORLD.write(url)
    program = "import duckdb, sys; db = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "a.duckdb")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdin is not None
        writer.stdout.readline()
        with pytest.raises(SinkUnavailableError, match="stop the consumer while the report is made"):
            make_report(url, now_ms=NOW_MS)
        writer.stdin.close()
    assert make_report(url, now_ms=NOW_MS).sections


@pytest.mark.services
def test_postgres_is_asked_by_a_login_that_may_only_read(new_postgres_url: str) -> None:
    WORLD.write(new_postgres_url)
    whole = make_report(new_postgres_url, now_ms=NOW_MS)
    with psycopg.connect(new_postgres_url, autocommit=True) as owner:
        database = owner.info.dbname
        role = f"reader_{uuid.uuid4().hex}"
        for statement in (
            f"CREATE ROLE {role} LOGIN PASSWORD 'secret'",
            f'REVOKE TEMPORARY ON DATABASE "{database}" FROM PUBLIC',
            f"GRANT USAGE ON SCHEMA public TO {role}",
            f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}",
        ):
            owner.execute(statement.encode())
        try:
            owner.execute(f"REVOKE SELECT ON all_events FROM {role}".encode())
            with pytest.raises(SinkError, match="on a server the login needs SELECT on it") as told:
                make_report(_as(new_postgres_url, role), now_ms=NOW_MS)
            assert "secret" not in str(told.value)
            owner.execute(f"GRANT SELECT ON all_events TO {role}".encode())
            asked = make_report(_as(new_postgres_url, role), now_ms=NOW_MS)
        finally:
            owner.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())
    assert asked.sections == whole.sections
    assert "secret" not in asked.sink


def _as(url: str, role: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{role}:secret@{parts.netloc.rpartition('@')[2]}"))
