"""What is PostgreSQL's own: its types, roles, schemas, and connections that are lost or refused."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import threading
import uuid
from collections import UserDict
from collections.abc import ItemsView, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import polars as pl
import psycopg
import pytest

from flowise_telemetry_consumer.errors import (
    FencedError,
    SinkDeniedError,
    SinkError,
    SinkInUseError,
    SinkUnavailableError,
)
from flowise_telemetry_consumer.sinks import Batch, Prunable, WriteResult
from flowise_telemetry_consumer.sinks.postgres import PostgresSink, durability
from flowise_telemetry_consumer.sinks.postgres.address import address_of
from flowise_telemetry_schemas import ConfigurationError, catalog
from flowise_telemetry_transport.types import TopicPartition
from tests.consumer.sinks.batches import batch, held, sizes, with_second_version
from tests.consumer.sinks.roles import DatabaseSink, open_database
from tests.consumer.sinks.writer_process import ROOT, start
from tests.consumer.tcp_door import postgres_door
from tests.services.postgres import with_parameters

TP0 = TopicPartition("flowise.telemetry.events", 0)
NONE_HELD = dict.fromkeys(catalog().names, 0)

TERMINATE_OTHERS = (
    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@pytest.fixture
def url(new_postgres_url: str) -> str:
    return new_postgres_url


@pytest.fixture
def sink(url: str) -> Iterator[DatabaseSink]:
    opened = open_database(url)
    opened.prepare(catalog())
    yield opened
    opened.close()


@pytest.fixture
def admin(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def changed(url: str, *, host: str | None = None, user: str | None = None, path: str | None = None) -> str:
    parts = urlsplit(url)
    name, _, address = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user or name}@{host or address}", path=path or parts.path))


@pytest.fixture
def role(admin: psycopg.Connection[Any]) -> Iterator[str]:
    """A role that may connect and nothing else; what it gets is taken away again."""
    name = f"role_{uuid.uuid4().hex[:12]}"
    admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'pa/s@s'")
    yield name
    admin.execute(f"DROP OWNED BY {name}")
    admin.execute(f"DROP ROLE {name}")


def test_columns_have_the_types_of_the_database(sink: DatabaseSink, admin: psycopg.Connection[Any]) -> None:
    sink.write(batch())
    rows = admin.execute(
        "SELECT column_name, data_type, is_nullable FROM information_schema.columns "
        "WHERE table_schema = 'public' AND table_name = 'vector_upserted'"
    ).fetchall()
    assert {name: (kind, nullable) for name, kind, nullable in rows} == {
        "event_id": ("uuid", "NO"),
        "occurred_at": ("timestamp with time zone", "NO"),
        "instance_id": ("uuid", "NO"),
        "stream_id": ("uuid", "NO"),
        "sequence": ("bigint", "NO"),
        "version": ("text", "NO"),
        "chatflow_id": ("uuid", "NO"),
        "type": ("text", "NO"),
        "flow_graph": ("jsonb", "NO"),
        "stop_node_id": ("text", "YES"),
    }
    shown = admin.execute(
        "SELECT extract(epoch FROM occurred_at) * 1000, flow_graph->'edges'->0->>'target' FROM prediction_sent"
    ).fetchone()
    assert shown == (1_700_000_000_125, "conversationChain_0")


def test_tables_may_live_in_a_schema_of_their_own(url: str, admin: psycopg.Connection[Any]) -> None:
    sink = open_database(with_parameters(url, "schema=Usage%20%22data%22"))
    sink.prepare(catalog())
    sink.write(batch())
    assert held(sink, "tool_created").equals(batch().frames["tool_created"])
    assert admin.execute('SELECT count(*) FROM "Usage ""data""".tool_created').fetchone() == (1,)
    assert admin.execute("SELECT to_regclass('public.tool_created')").fetchone() == (None,)
    assert open_database(url).counts() == {}
    sink.close()


def test_times_do_not_depend_on_the_session(url: str, admin: psycopg.Connection[Any]) -> None:
    database = urlsplit(url).path[1:]
    admin.execute(f"ALTER DATABASE \"{database}\" SET timezone = 'Asia/Kathmandu'")
    admin.execute(f"ALTER DATABASE \"{database}\" SET datestyle = 'German'")
    sink = open_database(url)
    sink.prepare(catalog())
    sink.write(batch())
    assert held(sink, "tool_created").equals(batch().frames["tool_created"])
    sink.close()


def test_a_lost_connection_is_an_outage_and_the_next_write_connects_again(
    sink: DatabaseSink, admin: psycopg.Connection[Any]
) -> None:
    sink.write(batch(0))
    admin.execute(TERMINATE_OTHERS)
    with pytest.raises(SinkUnavailableError) as caught:
        sink.write(batch(1))
    assert caught.value.retryable
    assert sink.write(batch(1)).written == sizes(batch())
    admin.execute(TERMINATE_OTHERS)
    # Reading has connections of its own.
    assert sink.counts() == {event: 2 * size for event, size in sizes(batch()).items()}


def test_what_refuses_after_it_worked_is_an_outage(
    url: str, sink: DatabaseSink, admin: psycopg.Connection[Any]
) -> None:
    database = urlsplit(url).path[1:]
    with psycopg.connect(changed(url, path="/postgres"), autocommit=True) as elsewhere:
        admin.close()
        elsewhere.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s", (database,)
        )
        elsewhere.execute(f'ALTER DATABASE "{database}" RENAME TO "{database}_away"')
        for _ in range(2):
            with pytest.raises(SinkUnavailableError):
                sink.write(batch())
        elsewhere.execute(f'ALTER DATABASE "{database}_away" RENAME TO "{database}"')
    assert sink.write(batch()).written == sizes(batch())


def test_a_lock_that_is_held_for_long_is_an_outage(url: str, admin: psycopg.Connection[Any]) -> None:
    sink = PostgresSink(address_of(url))
    sink.prepare(catalog())
    sink._statement_timeout_ms = 200
    with admin.transaction():
        admin.execute("LOCK TABLE tool_created IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(SinkUnavailableError, match="statement timeout"):
            sink.write(batch())
    sink.close()
    # One that has more time.
    patient = open_database(url)
    patient.prepare(catalog())
    assert patient.write(batch()).written == sizes(batch())
    patient.close()


def test_a_writer_that_was_stopped_in_the_middle_is_in_nobodys_way(url: str) -> None:
    stopped, patient = PostgresSink(address_of(url), statement_timeout_seconds=3.0), open_database(url)
    for each in (stopped, patient):
        each.prepare(catalog())

    class Offsets(UserDict[TopicPartition, int]):
        """Asked for when all rows of the batch are written, in the same transaction."""

        asked = 0

        def items(self) -> ItemsView[TopicPartition, int]:
            self.asked += 1
            # Its rows are there, uncommitted, and it does nothing more: the other has to wait, but not for ever.
            assert patient.write(batch()).written == sizes(batch())
            return super().items()

    offsets = Offsets({TP0: 1})
    stopped.claim("group", [TP0])
    with pytest.raises(SinkUnavailableError):
        stopped.write(replace(batch(), offsets=offsets, source="group"))
    assert offsets.asked == 1
    assert patient.counts() == sizes(batch())
    assert patient.progress()[0].next_offsets == {}
    stopped.close()
    patient.close()


def test_a_standby_is_an_outage(url: str, sink: DatabaseSink, admin: psycopg.Connection[Any]) -> None:
    admin.execute(f'ALTER DATABASE "{urlsplit(url).path[1:]}" SET default_transaction_read_only = on')
    sink.close()
    with pytest.raises(SinkUnavailableError, match="read-only"):
        sink.write(batch())


def test_a_kill_between_merge_and_commit_changes_nothing(url: str, sink: DatabaseSink) -> None:
    sink.write(batch(0))
    code = f"""
import os, signal, psycopg
from flowise_telemetry_consumer.sinks.postgres.sink import PostgresSink
write, leave = PostgresSink.write, psycopg.Transaction.__exit__
def doomed(self, given):
    psycopg.Transaction.__exit__ = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    return write(self, given)
PostgresSink.write = doomed
from tests.consumer.sinks.writer_process import main
main({url!r}, "2", "50")
"""
    killed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, capture_output=True, check=False)
    assert (killed.returncode, killed.stdout) == (-9, b"")
    assert sink.counts() == sizes(batch())


def test_the_rights_that_the_guide_grants_are_enough(url: str, admin: psycopg.Connection[Any], role: str) -> None:
    database = f'DATABASE "{urlsplit(url).path[1:]}"'
    roles = {name: f"{role}_{name}" for name in ("owner", "writer", "reader", "pruner")}
    once, daily = (
        re.sub(r"telemetry_(owner|writer|reader|pruner)", lambda found: roles[found[1]], block)
        .replace("DATABASE telemetry", database)
        .encode()
        for block in re.findall(r"```sql\n(-- .*?)```", (ROOT / "docs/sinks.md").read_text(), re.DOTALL)
    )
    admin.execute(f"REVOKE TEMPORARY ON {database} FROM PUBLIC".encode())
    for name in roles.values():
        admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'pa/s@s'")
    owner, writer, reader, pruner = (open_database(changed(url, user=f"{name}:pa%2Fs%40s")) for name in roles.values())
    try:
        admin.execute(once)
        owner.prepare(catalog())
        admin.execute(daily)
        writer.prepare(catalog())
        assert writer.claim("group", [TP0]) == {}
        writer.lock("group")
        assert writer.write(replace(batch(), offsets={TP0: 7}, source="group")).written == sizes(batch())
        assert held(writer, "tool_created").equals(batch().frames["tool_created"])
        beside = owner.staging("next")
        beside.prepare(catalog())
        beside.close()
        with pytest.raises(SinkError, match="permission denied"):
            writer.promote("next")
        owner.promote("next")
        assert reader.counts() == NONE_HELD
        assert writer.write(replace(batch(), offsets={TP0: 8}, source="group")).written == sizes(batch())
        assert reader.counts() == sizes(batch())
        assert reader.progress()[0].next_offsets == {TP0: 8}
        reader.prepare(catalog())
        with pytest.raises(SinkError, match=r"permission denied .*: GRANT it"):
            reader.write(batch())
        assert isinstance(pruner, Prunable)
        assert isinstance(writer, Prunable)
        with pytest.raises(SinkError, match="permission denied"):
            next(iter(writer.prune(1_800_000_000_000)))
        assert sum(sum(step.values()) for step in pruner.prune(1_800_000_000_000)) == sum(sizes(batch()).values())
    finally:
        for sink in (owner, writer, reader, pruner):
            sink.close()
        for name in roles.values():
            admin.execute(f"DROP OWNED BY {name} CASCADE")
            admin.execute(f"DROP ROLE {name}")


def test_progress_without_its_right_is_told(
    url: str, sink: DatabaseSink, admin: psycopg.Connection[Any], role: str
) -> None:
    admin.execute(f"GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO {role}")
    writer = open_database(changed(url, user=f"{role}:pa%2Fs%40s"))
    writer.prepare(catalog())
    with pytest.raises(SinkError, match=r"permission denied for table flowise_telemetry_progress: GRANT it"):
        writer.claim("group", [TP0])
    writer.close()


def test_writers_of_the_version_before_go_on_while_columns_are_added(
    url: str, sink: DatabaseSink, admin: psycopg.Connection[Any], tmp_path: Path
) -> None:
    older = [start(url, batches=40, repeat=50) for _ in range(2)]
    for writer in older:
        assert writer.stdout
        writer.stdout.readline()
    new = with_second_version(tmp_path / "avro", "tool_created")
    newer = open_database(url)
    newer.prepare([new])
    for writer in older:
        writer.communicate(timeout=120)
        assert writer.returncode == 0
    assert newer.counts() == {"tool_created": 40 * 50 * sizes(batch())["tool_created"]}
    assert held(newer, "tool_created")["note"].unique().to_list() == ["don't"]
    newer.close()


@pytest.mark.parametrize(
    ("rule", "mend", "said"),
    [
        (
            "ALTER TABLE tool_created ADD CONSTRAINT no_tools CHECK (tool_name IS NULL)",
            "ALTER TABLE tool_created DROP CONSTRAINT no_tools",
            r"CheckViolation no_tools in tool_created \(23514\); change or drop that rule",
        ),
        (
            "ALTER TABLE tool_created ADD COLUMN team text; ALTER TABLE tool_created ALTER COLUMN team SET NOT NULL",
            "ALTER TABLE tool_created DROP COLUMN team",
            r"NotNullViolation in tool_created\.team",
        ),
        (
            "ALTER TABLE tool_created RENAME COLUMN tool_name TO gone",
            "ALTER TABLE tool_created RENAME COLUMN gone TO tool_name",
            "tool_name",
        ),
    ],
    ids=["check", "not null", "column"],
)
def test_a_rule_of_others_is_named_and_waited_for(new_postgres_url: str, rule: str, mend: str, said: str) -> None:
    sink = PostgresSink(address_of(new_postgres_url))
    sink.prepare(catalog())
    with psycopg.connect(new_postgres_url, autocommit=True) as dba:
        dba.execute(rule.encode())
        with pytest.raises(SinkUnavailableError, match=said) as caught:
            sink.write(batch())
        assert caught.value.retryable
        dba.execute(mend.encode())
    assert sink.write(batch()).written == sizes(batch())
    sink.close()


def test_a_server_that_stands_still_is_an_outage(new_postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    door, through_door = postgres_door(new_postgres_url)
    sink = PostgresSink(address_of(f"{through_door}?connect_timeout=2"))
    sink.prepare(catalog())
    sink.claim("group", [TP0])
    sink._statement_timeout_ms = 200
    monkeypatch.setattr("flowise_telemetry_consumer.sinks.postgres.sink._ANSWER_SECONDS", 0.3)
    door.freeze()
    for call in (partial(sink.write, batch()), partial(sink.claim, "group", [TP0]), sink.progress):
        with pytest.raises(SinkUnavailableError, match=r"has not answered for 0\.5 s|cannot be reached: .*timeout"):
            call()
    door.thaw()
    # Back again, it may be as slow as this machine is.
    sink._statement_timeout_ms = 60_000
    monkeypatch.setattr("flowise_telemetry_consumer.sinks.postgres.sink._ANSWER_SECONDS", 60.0)
    assert sink.write(batch()).written == sizes(batch())
    sink.close()
    door.shut()


def test_a_claim_waits_for_a_batch_that_is_being_committed(
    sink: DatabaseSink, admin: psycopg.Connection[Any], url: str
) -> None:
    sink.claim("group", [TP0])
    claimed: list[Mapping[TopicPartition, int]] = []
    successor = open_database(url)
    with admin.transaction():
        # What a write does last: it has the row of the progress until its commit.
        admin.execute("UPDATE flowise_telemetry_progress SET next_offset = 5 WHERE source = 'group'")
        thread = threading.Thread(target=lambda: claimed.append(successor.claim("group", [TP0])))
        thread.start()
        while admin.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone() == (0,):
            assert thread.is_alive()
    thread.join(60)
    assert claimed == [{TP0: 5}]
    with pytest.raises(FencedError):
        sink.write(replace(batch(), offsets={TP0: 6}, source="group"))
    assert sink.counts() == NONE_HELD
    successor.close()


def test_a_batch_under_way_when_its_partition_is_claimed_is_taken_back(
    sink: DatabaseSink, admin: psycopg.Connection[Any], url: str
) -> None:
    sink.claim("group", [TP0])
    failures: list[Exception] = []
    successor = open_database(url)

    def write() -> None:
        try:
            sink.write(replace(batch(), offsets={TP0: 6}, source="group"))
        except FencedError as error:
            failures.append(error)

    with admin.transaction():
        admin.execute("LOCK TABLE vector_upserted IN SHARE MODE")
        thread = threading.Thread(target=write)
        thread.start()
        # All but the last of its tables are written; the claim does not wait for it.
        while admin.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone() == (0,):
            assert thread.is_alive()
        assert successor.claim("group", [TP0]) == {}
    thread.join(60)
    assert len(failures) == 1
    assert sink.counts() == NONE_HELD
    successor.close()


def test_a_lock_ends_with_its_connection(url: str, sink: DatabaseSink, admin: psycopg.Connection[Any]) -> None:
    sink.lock("replay")
    other = open_database(url)
    with pytest.raises(SinkInUseError):
        other.lock("replay")
    admin.execute(TERMINATE_OTHERS)
    other.lock("replay")
    other.close()


@pytest.mark.parametrize("granted", ["", "SELECT"])
def test_a_right_that_is_missing_is_told(
    url: str, sink: DatabaseSink, admin: psycopg.Connection[Any], role: str, granted: str
) -> None:
    if granted:
        admin.execute(f"GRANT {granted} ON ALL TABLES IN SCHEMA public TO {role}")
    writer = open_database(changed(url, user=f"{role}:pa%2Fs%40s"))
    writer.prepare(catalog())
    with pytest.raises(SinkDeniedError, match=r"permission denied for table .*: GRANT it") as caught:
        writer.write(batch())
    assert not caught.value.retryable
    admin.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    assert writer.write(batch()).written == sizes(batch())
    writer.close()


def test_a_role_that_may_not_make_tables_is_told(url: str, role: str) -> None:
    with pytest.raises(SinkError, match="permission denied for schema public"):
        open_database(changed(url, user=f"{role}:pa%2Fs%40s")).prepare(catalog())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"user": "nobody_of_that_name:geheim"}, "rejected the login"),
        ({"path": "/no_such_database"}, "no_such_database"),
    ],
)
def test_a_server_that_refuses_us_is_one_clear_line(url: str, change: dict[str, str], said: str) -> None:
    sink = open_database(changed(url, **change))
    with pytest.raises(SinkError, match=said) as caught:
        sink.prepare(catalog())
    assert not caught.value.retryable
    assert "geheim" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_server_that_is_not_there_is_an_outage() -> None:
    sink = open_database("postgresql://someone:geheim@127.0.0.1:1/usage")
    for call in (lambda: sink.prepare(catalog()), lambda: sink.write(batch()), sink.counts):
        with pytest.raises(SinkUnavailableError, match=r"someone:\*\*\*@127.0.0.1:1/usage cannot be reached") as caught:
            call()
        assert "geheim" not in str(caught.value)


def test_an_error_never_repeats_a_value(sink: DatabaseSink) -> None:
    tools = batch().frames["tool_created"].with_columns(event_id=pl.lit("secret-of-someone"))
    with pytest.raises(SinkError, match="InvalidTextRepresentation") as caught:
        sink.write(Batch(frames={"tool_created": tools}))
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:geheim@db:5433/usage?schema=x", "postgresql://me:***@db:5433/usage?schema=x"),
        ("postgres://db/usage?password=geheim&user=me", "postgresql://me:***@db/usage"),
        ("postgresql://me@/usage?host=/run/pg&schema=public", "postgresql://me@/usage?host=/run/pg"),
        ("postgresql:///usage", "postgresql:///usage"),
    ],
)
def test_a_password_is_never_shown(url: str, shown: str) -> None:
    assert open_database(url).url == shown
    assert "geheim" not in repr(address_of(url))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:ge/heim@db/usage",
        "postgresql://me:geheim@db:port/usage",
        "postgresql://me:geheim@db/usage?schema=",
    ],
)
def test_a_url_that_cannot_be_read_is_told_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="PostgreSQL URL") as caught:
        open_database(url)
    assert not any(part in str(caught.value) for part in ("heim", "me:"))


@pytest.mark.parametrize(("misspelt", "meant"), [("shema=x", "schema"), ("sslmod=require", "sslmode")])
def test_a_misspelt_parameter_of_a_url_is_named(misspelt: str, meant: str) -> None:
    with pytest.raises(
        ConfigurationError, match=f"no parameter {misspelt.partition('=')[0]}: is {meant} meant"
    ) as caught:
        open_database(f"postgresql://me:geheim@db/usage?{misspelt}")
    assert "geheim" not in str(caught.value)


def test_after_a_batch_of_new_events_the_next_goes_right_into_the_tables(
    url: str, sink: DatabaseSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged: list[str] = []
    execute = psycopg.Connection.execute

    def noted(connection: psycopg.Connection[Any], query: Any, *args: Any, **kwargs: Any) -> Any:
        text = query.as_string(connection) if isinstance(query, psycopg.sql.Composable) else str(query)
        if "ON CONFLICT (event_id)" in text:
            staged.append(text)
        return execute(connection, query, *args, **kwargs)

    monkeypatch.setattr(psycopg.Connection, "execute", noted)
    whole = sizes(batch(repeat=3))
    other = open_database(url)
    other.prepare(catalog())
    # Number of the batch; whether it was staged; whether it was new. Another writer comes between with number 3.
    for number, is_staged, is_new in ((0, True, True), (1, False, True), (2, False, True), (3, True, False)):
        if number == 3:
            other.write(batch(3, repeat=3))
        staged.clear()
        result = sink.write(batch(number, repeat=3))
        assert (bool(staged), result.written == whole) == (is_staged, is_new)
    for number, is_staged in ((4, True), (5, False)):
        staged.clear()
        assert sink.write(batch(number, repeat=3)).written == whole
        assert bool(staged) == is_staged
    # What is twice in one batch is found as well.
    tools = batch(6, repeat=3).frames["tool_created"]
    result = sink.write(Batch(frames={"tool_created": pl.concat([tools, tools])}))
    assert (result.written, result.duplicates) == ({"tool_created": 3}, {"tool_created": 3})
    assert sink.counts() == {event: 6 * size + (3 if event == "tool_created" else 0) for event, size in whole.items()}
    other.close()


def test_where_rows_have_policies_all_goes_by_way_of_the_temporary_tables(
    url: str, sink: DatabaseSink, admin: psycopg.Connection[Any], role: str
) -> None:
    admin.execute(f"GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO {role}")
    admin.execute("ALTER TABLE tool_created ENABLE ROW LEVEL SECURITY")
    admin.execute("CREATE POLICY all_rows ON tool_created USING (true) WITH CHECK (true)")
    writer = open_database(changed(url, user=f"{role}:pa%2Fs%40s"))
    writer.prepare(catalog())
    for number in range(3):
        assert writer.write(batch(number)).written == sizes(batch())
    writer.close()


@pytest.mark.parametrize("is_staged", [True, False])
def test_events_are_added_in_the_order_of_their_ids_so_that_writers_cannot_deadlock(
    sink: DatabaseSink, admin: psycopg.Connection[Any], is_staged: bool
) -> None:
    if not is_staged:
        sink.write(batch(1, repeat=9))
    before = sink.counts()["tool_created"]
    tools = batch(repeat=9).frames["tool_created"]
    insert = (
        f"INSERT INTO tool_created ({', '.join(tools.columns)}) VALUES ({', '.join(['%s'] * tools.width)})".encode()
    )
    written: list[WriteResult] = []
    backwards = Batch(frames={"tool_created": tools.reverse()})
    thread = threading.Thread(target=lambda: written.append(sink.write(backwards)))
    with admin.transaction():
        admin.execute("SET LOCAL lock_timeout = '60s'")
        admin.execute(insert, tools.row(4))
        thread.start()
        while admin.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone() == (0,):
            assert thread.is_alive()
        # It has written those before the one it waits for, and none after: another that goes in order has its way.
        admin.execute(insert, tools.row(8))
    thread.join(60)
    assert [(result.written, result.duplicates) for result in written] == [({"tool_created": 7}, {"tool_created": 2})]
    assert sink.counts()["tool_created"] == before + 9


@pytest.mark.parametrize(("given", "wanted"), [("off", "on"), ("local", "local"), ("on", "on")])
def test_a_commit_waits_for_the_disk_whatever_the_database_says(
    url: str, admin: psycopg.Connection[Any], given: str, wanted: str
) -> None:
    name = urlsplit(url).path.removeprefix("/")
    admin.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = {given}'.encode())
    sink = open_database(url)
    sink.prepare(catalog())
    admin.execute("CREATE TABLE seen (setting text)")
    admin.execute(
        "CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$"
    )
    admin.execute("CREATE TRIGGER see AFTER INSERT ON tool_created EXECUTE FUNCTION see()")
    sink.write(batch())
    sink.write(batch())
    sink.close()
    assert {setting for (setting,) in admin.execute("SELECT setting FROM seen")} == {wanted}


def test_a_server_that_may_lose_commits_is_told_once(
    url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of the server, so not to be changed here: one that is off everywhere in tests stands in for it.
    stand_in = partial(durability.warn_of_unsafe_server, settings=("archive_mode",))
    monkeypatch.setattr("flowise_telemetry_consumer.sinks.postgres.inspection.warn_of_unsafe_server", stand_in)
    caplog.set_level(logging.WARNING, "flowise_telemetry")
    sink = open_database(url)
    for _ in range(2):
        sink.prepare(catalog())
        sink.close()
    (told,) = (record.getMessage() for record in caplog.records)
    assert "runs with archive_mode=off: a crash of its machine may lose events" in told
