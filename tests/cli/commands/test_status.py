"""``status``, and ``enable`` and ``disable`` through it."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.in_process import run_command
from tests.cli.program import program
from tests.services.certificates import Authority
from tests.transport.small_broker import SmallBroker


def test_status_names_what_decided(tmp_path: Path) -> None:
    def shown(**variables: str) -> dict[str, object]:
        document: dict[str, object] = json.loads(run_command("status", "--json", folder=tmp_path, env=variables).stdout)
        return document

    assert shown()["decided_by"] == "the default"
    off = shown(DISABLE_FLOWISE_TELEMETRY="true")
    assert (off["enabled"], off["decided_by"]) == (False, "DISABLE_FLOWISE_TELEMETRY in the environment")
    assert run_command("disable", folder=tmp_path).status == 0
    assert shown()["decided_by"] == "the stored choice (flowise-telemetry disable)"
    enabled = run_command("enable", folder=tmp_path, env={"DO_NOT_TRACK": "1"})
    assert "still off here: DO_NOT_TRACK in the environment" in enabled.stderr
    assert shown()["enabled"] is True


def test_a_file_that_is_not_there_is_not_shown_as_one(tmp_path: Path) -> None:
    assert ".env file:    .env, which is not there" in run_command("status", folder=tmp_path).stdout
    (tmp_path / ".env").write_text("OTHER=1\n")
    assert ".env file:    .env\n" in run_command("status", folder=tmp_path).stdout


CLIENT_CERTIFICATE = "asks for a certificate of the client"


def test_connect_says_why_not(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ours")
    environ = {
        "FLOWISE_TELEMETRY_KAFKA_SECURITY_PROTOCOL": "SSL",
        "FLOWISE_TELEMETRY_KAFKA_SSL_CAFILE": str(authority.file),
    }
    with closing(SmallBroker(certificate=authority.issue("broker"), client_authority=authority.file)) as broker:
        environ["FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS"] = broker.server
        done = run_command("status", "--connect", folder=tmp_path, env=environ)
        assert (done.status, CLIENT_CERTIFICATE in done.stdout) == (1, True)
        done = run_command("status", "--connect", "--json", folder=tmp_path, env=environ)
        assert (done.status, CLIENT_CERTIFICATE in json.loads(done.stdout)["connection"]) == (1, True)
        client = str(authority.issue("client"))
        environ |= {f"FLOWISE_TELEMETRY_KAFKA_SSL_{name}FILE": client for name in ("CERT", "KEY")}
        done = run_command("status", "--connect", folder=tmp_path, env=environ)
        assert (done.status, "works" in done.stdout) == (0, True)
    done = run_command("status", "--connect", folder=tmp_path, env={**environ, "DO_NOT_TRACK": "1"})
    assert "not tried: telemetry is off (DO_NOT_TRACK in the environment)" in done.stdout


@pytest.mark.slow  # a process of its own: the handlers of the test's own log are in the way
@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_the_log_level_shows_what_the_client_says(client: str, tmp_path: Path) -> None:
    command = ("topics", "create", "--bootstrap-servers", "127.0.0.1:1", "--client", client)
    assert client not in program(*command, folder=tmp_path).stderr
    assert (
        f"DEBUG flowise_telemetry.transport: {client}"
        in program(*command, "--log-level", "debug", folder=tmp_path).stderr
    )
