"""Passwords of databases: in files, rotated, and never shown, wherever in a URL they ended up."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowise_telemetry_consumer.errors import SinkError, SinkUnavailableError
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_consumer.sinks.clickhouse.address import address_of as clickhouse_address
from flowise_telemetry_consumer.sinks.clickhouse.server import Server
from flowise_telemetry_consumer.sinks.postgres.address import address_of as postgres_address
from flowise_telemetry_schemas import ConfigurationError, TelemetryError, catalog

SECRET = "hunter2marker"

URLS = st.sampled_from([
    "postgresql://me:{}@127.0.0.1:1/usage",
    "postgresql://me:x@{}@127.0.0.1:1/usage",
    "postgresql://me:{}@x@127.0.0.1:1/usage",
    "postgresql://me:1/{}@127.0.0.1:1/usage",
    "postgresql://me:1/x@{}",
    "postgresql://me:1?{}@127.0.0.1/usage",
    "postgresql://me@127.0.0.1:1/usage?password={}",
    "postgresql://127.0.0.1:1/usage?host=me:{}@db",
    "postgresql://127.0.0.1:1/usage?pasword={}",
    "postgresql://me:{}@127.0.0.1:1",
    "clickhouse://me:{}@127.0.0.1:1/usage?secure=false",
    "clickhouse://me:x@{}@127.0.0.1:1/usage?secure=false",
    "clickhouse://me:1/{}@127.0.0.1:1",
    "clickhouse://me:1/x@{}",
    "clickhouse://me:1#{}@127.0.0.1/usage",
    "clickhouse://127.0.0.1:1/usage?password={}",
    "delta+s3://me:{}@bucket/prefix",
    "delta+s3://bucket/prefix?endpoint_url=http://me:{}@127.0.0.1:1",
    "delta+s3://bucket/prefix?secret={}",
    "mysql://me:{}@db/usage",
    "postgresql:/me:{}@db/usage",
    "kafka://{}@topic:9092",
])  # fmt: skip


@given(url=URLS, padding=st.sampled_from(["", "/", ":", "@", "?", "#", "%40", "&", "é", ";"]))
def test_no_url_of_a_sink_shows_its_password(url: str, padding: str) -> None:
    said: list[str] = []
    try:
        sink = open_sink(url.format(padding + SECRET))
        said += [sink.url, repr(sink)]
    except TelemetryError as error:
        said += traceback.format_exception(error)
    assert SECRET not in "".join(said)


@pytest.mark.parametrize(
    "url", ["postgresql://me:{}@127.0.0.1:1/usage", "clickhouse://me:{}@127.0.0.1:1/u?secure=false"]
)
def test_no_failure_of_a_sink_does(url: str) -> None:
    with pytest.raises(SinkError) as raised:
        open_sink(url.format(SECRET)).prepare(catalog())
    assert SECRET not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize("how", ["url", "environment"])
@pytest.mark.parametrize(
    ("address_of", "url", "variable"),
    [
        (postgres_address, "postgresql://me@db/usage", "PGPASSWORD"),
        (clickhouse_address, "clickhouse://me@db/usage", "CLICKHOUSE_PASSWORD"),
    ],
)
def test_a_file_has_the_password(
    address_of: Callable[..., Any], url: str, variable: str, how: str, tmp_path: Path
) -> None:
    file = tmp_path / "pass word"
    file.write_text("geheim\n")
    environ = {f"{variable}_FILE": str(file)} if how == "environment" else {f"{variable}_FILE": "/nowhere"}
    address = address_of(f"{url}?password_file={str(file).replace(' ', '%20')}" if how == "url" else url, environ)
    assert address.password.read() == "geheim"
    file.write_text("rotated")
    assert address.password.read() == "rotated"
    assert "rotated" not in repr(address)
    assert address.shown.startswith(url.replace("@db/", "@db:8443/") if "click" in url else url)
    given_in_url = address_of(url.replace("me@", "me:own@"), environ)
    assert given_in_url.password.read() == "own"


@pytest.mark.parametrize("url", ["postgresql://me@127.0.0.1:1/usage", "clickhouse://me@127.0.0.1:1/u"])
def test_a_file_that_is_not_there_is_named(url: str) -> None:
    with pytest.raises(ConfigurationError, match="password_file: /nowhere: No such file"):
        open_sink(f"{url}?password_file=/nowhere").prepare(catalog())


def test_a_file_that_goes_while_the_service_runs_is_an_outage(tmp_path: Path) -> None:
    file = tmp_path / "password"
    sink = open_sink(f"postgresql://me@127.0.0.1:1/usage?password_file={file}")
    sink._connector._was_connected = True  # type: ignore[attr-defined]  # as after a first connection
    with pytest.raises(SinkUnavailableError, match="password_file"):
        sink.prepare(catalog())


def test_clickhouse_is_given_what_the_file_says_now(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("first")
    server = Server(clickhouse_address(f"clickhouse://me@127.0.0.1:1/u?password_file={file}", {}))
    with mock.patch("clickhouse_connect.get_client") as get_client:
        server.rows("SELECT 1")
        server.close()
        file.write_text("second")
        server.rows("SELECT 1")
    assert [call.kwargs["password"] for call in get_client.call_args_list] == ["first", "second"]
