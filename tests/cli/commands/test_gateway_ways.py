"""Commands where the environment, or an option, names a gateway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.in_process import run_command
from tests.cli.operator import LINES
from tests.transport.gateway.server import KEY, GatewayServer, serving

ENDPOINT, PROJECT_KEY = "FLOWISE_TELEMETRY_ENDPOINT", "FLOWISE_TELEMETRY_PROJECT_KEY"


@pytest.fixture
def gateway() -> Iterator[GatewayServer]:
    with serving(GatewayServer()) as served:
        yield served


def test_events_are_sent_to_it_in_place_of_the_brokers(gateway: GatewayServer, tmp_path: Path) -> None:
    done = run_command(
        "send", "--endpoint", gateway.url, "--json", folder=tmp_path, stdin=LINES, env={PROJECT_KEY: KEY}
    )
    assert (done.status, json.loads(done.stdout), done.errors) == (0, {"sent": 6, "rejected": 0, "undelivered": 0}, [])
    assert len(gateway.stored()) == 7  # and the counts of the stream


def test_a_key_that_is_not_taken_is_said_at_once(gateway: GatewayServer, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("hush-hush\n")
    options = ("--endpoint", gateway.url, "--project-key-file", "key")
    done = run_command("send", *options, folder=tmp_path, stdin=LINES)
    assert (done.status, done.stdout) == (1, "")
    (said,) = done.errors
    assert "key_unknown" in said
    assert "hush" not in said


def test_it_gives_nothing_back_and_excludes_brokers(tmp_path: Path) -> None:
    environ = {ENDPOINT: "https://e", PROJECT_KEY: "k"}
    done = run_command("topics", "create", folder=tmp_path, env=environ)
    assert (done.status, f"{ENDPOINT} names a gateway, which only takes records" in done.stderr) == (2, True)
    options = ("--bootstrap-servers", "127.0.0.1:1", "--endpoint", "https://e")
    done = run_command("send", *options, folder=tmp_path, env=environ)
    assert (done.status, "are both set" in done.stderr) == (2, True)
    both = {**environ, "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    done = run_command("send", folder=tmp_path, env=both)
    assert (done.status, "are both set" in done.stderr) == (2, True)


def test_an_option_goes_before_the_environment(gateway: GatewayServer, tmp_path: Path) -> None:
    nobody = "FLOWISE_TELEMETRY_KAFKA_CONNECT_TIMEOUT_MS"
    environ = {ENDPOINT: gateway.url, PROJECT_KEY: KEY, nobody: "500"}
    done = run_command("send", "--bootstrap-servers", "127.0.0.1:1", folder=tmp_path, stdin=LINES, env=environ)
    assert (done.status, "127.0.0.1:1" in done.stderr) == (1, True)
    assert gateway.requests == []
    environ = {"FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": "127.0.0.1:1", PROJECT_KEY: KEY}
    done = run_command("send", "--endpoint", gateway.url, folder=tmp_path, stdin=LINES, env=environ)
    assert (done.status, done.errors) == (0, [])


def test_status_shows_it_without_what_may_be_secret(gateway: GatewayServer, tmp_path: Path) -> None:
    environ = {ENDPOINT: gateway.url, PROJECT_KEY: KEY}
    done = run_command("status", "--connect", folder=tmp_path, env=environ)
    assert done.status == 0
    assert f"gateway:      {gateway.url}\ntopic:        the gateway's\n" in done.stdout
    assert "connection:   works" in done.stdout
    gateway.revoked.add(KEY)
    done = run_command("status", "--connect", "--json", folder=tmp_path, env=environ)
    assert (done.status, "revoked" in json.loads(done.stdout)["connection"]) == (1, True)
    environ[ENDPOINT] = "https://user:hush@gateway.example.org/path?key=hush"
    for options in ((), ("--json",), ("--connect",)):
        shown = run_command("status", *options, folder=tmp_path, env=environ)
        assert "hush" not in shown.stdout + shown.stderr
        assert KEY not in shown.stdout + shown.stderr
    assert all(request.records == [] for request in gateway.requests)


def test_the_ledger_of_what_it_took_has_no_place(gateway: GatewayServer, tmp_path: Path) -> None:
    environ = {ENDPOINT: gateway.url, PROJECT_KEY: KEY, "FLOWISE_TELEMETRY_LOG": "ledger"}
    assert run_command("send", folder=tmp_path, stdin=LINES, env=environ).status == 0
    done = run_command("log", "--last", "3", folder=tmp_path, env=environ)
    assert all(line.startswith("gateway ") for line in done.stdout.splitlines())
    entry = json.loads(run_command("log", "--last", "1", "--json", folder=tmp_path, env=environ).stdout)
    assert (entry["topic"], entry["partition"], entry["offset"]) == ("gateway", None, None)
