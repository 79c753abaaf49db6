"""PostgreSQL among others: what a DBA, a report or a second first start do to its tables meanwhile."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from flowise_telemetry_consumer.errors import (
    RowRefusedError,
    SinkDeniedError,
    SinkError,
    SinkTooSlowError,
    SinkUnavailableError,
)
from flowise_telemetry_consumer.sinks.postgres import PostgresSink, tables
from flowise_telemetry_consumer.sinks.postgres.address import address_of
from flowise_telemetry_consumer.sinks.postgres.refused_logins import NO_ADVICE, advice_for
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport.types import TopicPartition
from tests.consumer.sinks.batches import batch, sizes, with_second_version
from tests.consumer.sinks.postgres_roles import login_role
from tests.consumer.sinks.roles import DatabaseSink, open_database
from tests.consumer.sinks.test_postgres import changed
from tests.consumer.tcp_door import postgres_door
from tests.services.postgres import with_parameters

TP0 = TopicPartition("flowise.telemetry.events", 0)
_PASSWORD = "others-password"


@pytest.fixture
def url(new_postgres_url: str) -> str:
    return new_postgres_url


@pytest.fixture
def dba(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def role(dba: psycopg.Connection[Any]) -> Iterator[str]:
    with login_role(dba, _PASSWORD) as name:
        yield name


@pytest.fixture
def sink(url: str) -> Iterator[DatabaseSink]:
    opened = open_database(url)
    opened.prepare(catalog())
    yield opened
    opened.close()


def set_for_all(dba: psycopg.Connection[Any], url: str, setting: str) -> None:
    dba.execute(f'ALTER DATABASE "{urlsplit(url).path[1:]}" SET {setting}'.encode())


def waits_for_a_lock(dba: psycopg.Connection[Any]) -> bool:
    found = dba.execute(
        "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database "
        "WHERE NOT granted AND d.datname = current_database()"
    ).fetchone()
    return found is not None and found[0] > 0


def test_two_first_starts_at_once_under_any_isolation(url: str, dba: psycopg.Connection[Any]) -> None:
    set_for_all(dba, url, "default_transaction_isolation = serializable")
    failures: list[Exception] = []

    def start() -> None:
        second = open_database(url)
        try:
            second.prepare(catalog())
        except SinkError as error:
            failures.append(error)
        finally:
            second.close()

    threads = [threading.Thread(target=start) for _ in range(2)]
    with dba.transaction():
        # Both wait here with what they saw before, and one of them makes the tables.
        dba.execute("SELECT pg_advisory_xact_lock(%s)", (0x666C6F7769736574,))
        for thread in threads:
            thread.start()
        counted = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory' AND database = "
        counted += "(SELECT oid FROM pg_database WHERE datname = current_database())"
        while dba.execute(counted.encode()).fetchone() != (2,):
            assert all(thread.is_alive() for thread in threads)
    for thread in threads:
        thread.join(60)
    assert failures == []


def test_columns_are_added_without_anyone_queueing_behind_a_report(
    url: str, sink: DatabaseSink, dba: psycopg.Connection[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[object] = []
    change = tables._add_columns

    def counted(*args: Any) -> None:
        tries.append(args)
        change(*args)

    monkeypatch.setattr(tables, "_add_columns", counted)
    sink.write(batch())
    newer = PostgresSink(address_of(url))
    failures: list[Exception] = []

    def upgrade() -> None:
        try:
            newer.prepare([with_second_version(tmp_path / "avro", "tool_created")])
        except SinkError as error:
            failures.append(error)

    thread = threading.Thread(target=upgrade)
    with psycopg.connect(url) as report:
        report.execute("SELECT count(*) FROM tool_created")  # open until the block ends
        thread.start()
        while not waits_for_a_lock(dba):
            assert thread.is_alive()
        # A writer and another reader that come now have their way while the report is open.
        assert sink.write(batch(1)).written == sizes(batch())
        assert dba.execute("SELECT count(*) FROM tool_created").fetchone() == (2,)
        while len(tries) < 3:
            assert thread.is_alive()
    thread.join(60)
    assert failures == []
    newer.close()


def test_a_report_that_is_open_for_too_long_is_told(url: str, sink: DatabaseSink, tmp_path: Path) -> None:
    newer = PostgresSink(address_of(url), statement_timeout_seconds=0.6)
    with psycopg.connect(url) as report:
        report.execute("SELECT count(*) FROM tool_created")
        with pytest.raises(
            SinkUnavailableError, match=r"others have had the tables for 0\.6 s; end their long queries"
        ):
            newer.prepare([with_second_version(tmp_path / "avro", "tool_created")])
    newer._statement_timeout_ms = 60_000
    newer.prepare([with_second_version(tmp_path / "avro", "tool_created")])
    newer.close()


def test_a_table_that_is_gone_is_made_again_where_the_role_may(
    sink: DatabaseSink, dba: psycopg.Connection[Any]
) -> None:
    sink.write(batch())
    dba.execute("DROP TABLE tool_created")
    with pytest.raises(
        SinkUnavailableError, match=r'"public.tool_created" does not exist: it is made again with the next attempt'
    ):
        sink.write(batch(1))
    assert sink.write(batch(1)).written == sizes(batch())


def test_what_cannot_be_granted_is_not_said_to_be(
    url: str, sink: DatabaseSink, dba: psycopg.Connection[Any], role: str
) -> None:
    dba.execute(f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO {role}".encode())
    writer = open_database(changed(url, user=f"{role}:{_PASSWORD}"))
    dba.execute("ALTER TABLE tool_created RENAME COLUMN tool_name TO gone")
    with pytest.raises(SinkDeniedError, match=r"must be owner of table tool_created: only an owner may do this"):
        writer.prepare(catalog())
    dba.execute("ALTER TABLE tool_created RENAME COLUMN gone TO tool_name")
    dba.execute("ALTER TABLE tool_created ENABLE ROW LEVEL SECURITY")
    dba.execute("CREATE POLICY some_rows ON tool_created USING (true) WITH CHECK (tool_name = 'none')")
    writer.prepare(catalog())
    with pytest.raises(RowRefusedError, match=r"row-level security .*: change that policy, or exempt the role"):
        writer.write(batch())
    writer.close()


def test_a_table_without_its_key_is_named(sink: DatabaseSink, dba: psycopg.Connection[Any], url: str) -> None:
    dba.execute("ALTER TABLE tool_created DROP CONSTRAINT tool_created_pkey")
    said = r"public\.tool_created has no primary key .*: ALTER TABLE public\.tool_created ADD PRIMARY KEY \(event_id\)"
    with pytest.raises(SinkUnavailableError, match=said):
        sink.write(batch())  # the first goes by way of a temporary table: 42P10
    with pytest.raises(SinkUnavailableError, match=said):
        sink.write(batch())  # over a new connection: what is straight added would be there twice
    dba.execute("ALTER TABLE tool_created ADD PRIMARY KEY (event_id)")
    assert sink.write(batch()).written == sizes(batch())


def test_what_a_trigger_skips_is_not_written(
    url: str, dba: psycopg.Connection[Any], sink: DatabaseSink, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "flowise_telemetry")
    whole = sizes(batch())
    sink.write(batch())
    assert sink.write(batch(1)).written == whole  # straight into the tables from now on
    dba.execute(
        "CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;"
        "CREATE TRIGGER skips BEFORE INSERT ON tool_created FOR EACH ROW EXECUTE FUNCTION skip()"
    )
    for number in (2, 3):  # straight, then by way of a temporary table
        assert sink.write(batch(number)).written == {**whole, "tool_created": 0}
    other = open_database(url)
    for _ in range(2):
        other.prepare(catalog())
    other.close()
    assert [message for message in caplog.messages if "trigger skips of tool_created" in message] == [
        f"{sink.url}: trigger skips of tool_created runs before each row is added: what it skips is counted as already"
        " there"
    ]


def test_a_write_that_takes_too_long_is_told_apart(url: str, dba: psycopg.Connection[Any]) -> None:
    slow = PostgresSink(address_of(url))
    slow.prepare(catalog())
    slow._statement_timeout_ms = 200
    with dba.transaction():
        dba.execute("LOCK TABLE tool_created IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(SinkTooSlowError):
            slow.write(batch())
    slow.close()


def test_what_is_read_only_says_what_mends_it(url: str, sink: DatabaseSink, dba: psycopg.Connection[Any]) -> None:
    set_for_all(dba, url, "default_transaction_read_only = on")
    sink.close()
    with pytest.raises(SinkUnavailableError, match=r"it is a standby, or set to be read-only; name the primary too"):
        sink.write(batch())


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("channel_binding=require", r"channel_binding=require wants TLS"),
        ("target_session_attrs=read-only", r"asks for another kind of server"),
    ],
)
def test_a_refused_connection_says_what_mends_it(url: str, query: str, said: str) -> None:
    opened = open_database(with_parameters(url, query))
    with pytest.raises(SinkError, match=said) as caught:
        opened.prepare(catalog())
    assert "check user" not in str(caught.value)


def test_a_server_without_a_free_connection_is_an_outage(url: str, dba: psycopg.Connection[Any], role: str) -> None:
    dba.execute(f"ALTER ROLE {role} CONNECTION LIMIT 0".encode())
    with pytest.raises(SinkUnavailableError, match=r"too many connections .*: all its connections are taken"):
        open_database(changed(url, user=f"{role}:{_PASSWORD}")).prepare(catalog())


def test_a_connection_that_is_cut_while_it_is_made_is_no_refusal(url: str) -> None:
    """Though the server answers a moment later: a balancer did it, or a server that one of its processes took down."""
    door, through_door = postgres_door(url)
    door.turns_away_next = 1
    sink = open_database(through_door)
    with pytest.raises(SinkUnavailableError, match="broke the connection off"):
        sink.prepare(catalog())
    sink.prepare(catalog())
    sink.close()
    door.shut()


def test_a_refusal_in_another_language_gets_no_advice() -> None:
    assert advice_for("FATAL:  Passwort-Authentifizierung für Benutzer »a« fehlgeschlagen") is NO_ADVICE
