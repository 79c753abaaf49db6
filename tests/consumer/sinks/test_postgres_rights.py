"""The rights of the PostgreSQL roles in docs/sinks.md: each is needed, and what is missing is told."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.sinks.looking import look_at_sink
from flowise_telemetry_consumer.sinks.port import Prunable
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport.types import TopicPartition
from tests.consumer.sinks.batches import batch
from tests.consumer.sinks.postgres_roles import login_role
from tests.consumer.sinks.roles import DatabaseSink, open_database
from tests.consumer.sinks.test_postgres import changed

ROOT = Path(__file__).parents[3]
_PASSWORD = "rights-password"


def _write(sink: DatabaseSink) -> None:
    sink.prepare(catalog())
    sink.claim("group", [TopicPartition("events", 0)])
    for number in (0, 0):  # new, then known: the second goes by way of temporary tables
        sink.write(replace(batch(number), offsets={TopicPartition("events", 0): 7}, source="group"))


def _prune(sink: DatabaseSink) -> None:
    assert isinstance(sink, Prunable)
    list(sink.prune(1_800_000_000_000))


def _read(sink: DatabaseSink) -> None:
    sink.counts()
    list(sink.read("tool_created"))


ACTS: dict[str, Callable[[DatabaseSink], None]] = {"writer": _write, "pruner": _prune, "reader": _read}
GRANTS = [
    (found[2], found[1])
    for found in re.finditer(
        r"^(GRANT [^;]* TO telemetry_(writer|pruner|reader));", (ROOT / "docs/sinks.md").read_text(), re.MULTILINE
    )
    if "telemetry.*" not in found[1]  # ClickHouse's
]


DEFAULTS = re.findall(r"^(ALTER DEFAULT PRIVILEGES [^;]*);", (ROOT / "docs/sinks.md").read_text(), re.MULTILINE)
OWNER = [
    found
    for found in re.findall(r"^(GRANT [^;]* TO telemetry_owner);", (ROOT / "docs/sinks.md").read_text(), re.MULTILINE)
    if "telemetry.*" not in found
]
OLDER = [schema for schema in catalog() if schema.event != "tool_created"]


@pytest.fixture
def url(new_postgres_url: str) -> str:
    with closing(open_database(new_postgres_url)) as owner:
        owner.prepare(catalog())
        owner.write(batch(1))
    return new_postgres_url


@pytest.fixture
def admin(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def role(admin: psycopg.Connection[Any]) -> Iterator[str]:
    with login_role(admin, _PASSWORD) as name:
        yield name


def grant(admin: psycopg.Connection[Any], role: str, name: str, without: str = "") -> None:
    database = admin.info.dbname
    admin.execute(f'REVOKE TEMPORARY ON DATABASE "{database}" FROM PUBLIC'.encode())
    admin.execute(b"REVOKE USAGE ON SCHEMA public FROM PUBLIC")
    for whose, statement in GRANTS:
        if whose == name and statement != without:
            admin.execute(
                statement.replace(f"telemetry_{name}", role)
                .replace("DATABASE telemetry", f'DATABASE "{database}"')
                .encode()
            )


def in_database(admin: psycopg.Connection[Any], statement: str, roles: dict[str, str]) -> None:
    """Run a statement of the guide with the names that this test has."""
    for name, role in roles.items():
        statement = statement.replace(f"telemetry_{name}", role)
    admin.execute(statement.replace("DATABASE telemetry", f'DATABASE "{admin.info.dbname}"').encode())


@pytest.fixture
def roles(new_postgres_url: str) -> Iterator[dict[str, str]]:
    """A role for each of the guide's, in a database where nobody may do anything by default."""
    names = {name: f"{name}_{uuid.uuid4().hex[:12]}" for name in ("owner", *ACTS)}
    with psycopg.connect(new_postgres_url, autocommit=True) as admin:
        admin.execute(b"REVOKE ALL ON SCHEMA public FROM PUBLIC")
        admin.execute(f'REVOKE TEMPORARY ON DATABASE "{admin.info.dbname}" FROM PUBLIC'.encode())
        for role in names.values():
            admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{_PASSWORD}'".encode())
        yield names
        for role in names.values():
            admin.execute(f"DROP OWNED BY {role} CASCADE".encode())
            admin.execute(f"DROP ROLE {role}".encode())


@pytest.mark.parametrize("once", [True, False], ids=["default-privileges", "grants-again"])
def test_an_upgrade_by_the_owner_leaves_every_role_its_rights(
    once: bool, new_postgres_url: str, roles: dict[str, str]
) -> None:
    def sink_of(name: str) -> DatabaseSink:
        return open_database(changed(new_postgres_url, user=f"{roles[name]}:{_PASSWORD}"))

    with psycopg.connect(new_postgres_url, autocommit=True) as admin:
        for statement in OWNER:
            in_database(admin, statement, roles)
        with closing(sink_of("owner")) as older:
            older.prepare(OLDER)
        for _, statement in GRANTS:
            in_database(admin, statement, roles)
        if once:
            for statement in DEFAULTS:
                in_database(admin, statement, roles)
        with closing(sink_of("writer")) as sink, pytest.raises(SinkError, match="permission denied"):
            sink.prepare(catalog())  # before the owner
        with closing(sink_of("owner")) as newer:
            newer.prepare(catalog())
        if not once:
            with closing(sink_of("reader")) as sink, pytest.raises(SinkError, match="permission denied"):
                list(sink.read("tool_created"))
            for _, statement in GRANTS:
                in_database(admin, statement, roles)
        for name, act in ACTS.items():
            with closing(sink_of(name)) as sink:
                act(sink)


@pytest.mark.parametrize("name", ACTS)
def test_they_are_enough(name: str, url: str, admin: psycopg.Connection[Any], role: str) -> None:
    grant(admin, role, name)
    with closing(open_database(changed(url, user=f"{role}:{_PASSWORD}"))) as sink:
        ACTS[name](sink)


@pytest.mark.parametrize(("name", "missing"), GRANTS)
def test_each_is_needed_and_told(name: str, missing: str, url: str, admin: psycopg.Connection[Any], role: str) -> None:
    grant(admin, role, name, without=missing)
    with (
        closing(open_database(changed(url, user=f"{role}:{_PASSWORD}"))) as sink,
        pytest.raises((SinkError, psycopg.Error), match=r"permission denied|does not exist") as raised,
    ):
        ACTS[name](sink)
    assert isinstance(raised.value, SinkError)
    assert _PASSWORD not in str(raised.value)


def test_a_password_is_rotated_under_a_running_consumer(
    url: str, admin: psycopg.Connection[Any], role: str, tmp_path: Path
) -> None:
    grant(admin, role, "writer")
    file = tmp_path / "password"
    file.write_text(f"{_PASSWORD}\n")
    separator = "&" if urlsplit(url).query else "?"
    with closing(open_database(f"{changed(url, user=role)}{separator}password_file={file}")) as sink:
        _write(sink)
        admin.execute(f"ALTER ROLE {role} PASSWORD 'rotated'".encode())
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (role,))
        file.write_text("rotated\n")
        with pytest.raises(SinkError):
            sink.write(batch(2))  # the connection was lost
        sink.write(batch(2))


def look(url: str) -> dict[str, tuple[str, str]]:
    return {each.name: (each.state, each.line) for each in look_at_sink(url, list(catalog()))}


def test_a_look_finds_all_rights_of_the_writer(url: str, admin: psycopg.Connection[Any], role: str) -> None:
    grant(admin, role, "writer")
    found = look(changed(url, user=f"{role}:{_PASSWORD}"))
    assert found["sink: right"] == ("ok", "schema public may be written")
    assert f"as {role}" in found["sink"][1]
    assert found["sink: time"][0] == "ok"


@pytest.mark.parametrize("missing", [statement for name, statement in GRANTS if name == "writer"])
def test_a_look_names_each_right_that_is_missing(
    missing: str, url: str, admin: psycopg.Connection[Any], role: str
) -> None:
    grant(admin, role, "writer", without=missing)
    state, line = look(changed(url, user=f"{role}:{_PASSWORD}"))["sink: right"]
    assert (state, missing.split()[1].strip(",") in line, "GRANT it" in line) == ("failed", True, True)


def test_a_look_into_an_empty_database_makes_nothing(new_postgres_url: str) -> None:
    found = look(new_postgres_url)
    assert "are made at the first start" in found["sink: right"][1]
    with psycopg.connect(new_postgres_url, autocommit=True) as connection:
        row = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        assert row == (0,)
        connection.execute(f'ALTER DATABASE "{connection.info.dbname}" SET default_transaction_read_only = on'.encode())
    assert "target_session_attrs=read-write" in look(new_postgres_url)["sink: right"][1]


def test_a_look_with_a_login_that_is_refused(url: str) -> None:
    state, line = look(changed(url, user=f"nobody:{_PASSWORD}"))["sink"]
    assert (state, "check user, password and database" in line) == ("failed", True)
    assert _PASSWORD not in line


def test_a_look_at_tables_of_an_older_version(url: str, admin: psycopg.Connection[Any], role: str) -> None:
    grant(admin, role, "writer")
    admin.execute(b"ALTER TABLE public.tool_created DROP COLUMN tool_name")
    state, line = look(changed(url, user=f"{role}:{_PASSWORD}"))["sink: tables"]
    assert (state, "tool_created: let the role that owns the tables start a consumer once" in line) == ("failed", True)
    assert look(url)["sink: tables"][0] == "ok"
    columns = admin.execute(
        "SELECT 1 FROM information_schema.columns WHERE column_name = 'tool_name' AND table_name = 'tool_created'"
    ).fetchall()
    assert not columns
