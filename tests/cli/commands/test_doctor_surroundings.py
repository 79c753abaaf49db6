"""``doctor``: settings, clients, gateway, registry and folders, and what is wrong with each."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest

from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport import installed
from flowise_telemetry_transport.kafka_python import release
from flowise_telemetry_transport.schema_registry.subjects import schema_json, subject_of
from tests.cli.doctor import EVENTS, LETTERS, PASSWORD, PREFIX, WELL, Broker, Found, doctor, failing
from tests.cli.in_process import run_command
from tests.services.certificates import Authority
from tests.services.small_registry import small_registry
from tests.transport.gateway.server import KEY, GatewayServer, serving


def test_settings_say_where_they_came_from(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"{PREFIX}TOPIC=from.file\n{PREFIX}SPOOL_DIR=/somewhere\n")
    done = run_command(
        *("doctor", "--bootstrap-servers", "127.0.0.1:1"),
        folder=tmp_path,
        env={
            f"{PREFIX}KAFKA_SASL_PASSWORD": PASSWORD,
            f"{PREFIX}SCHEMA_REGISTRY_USER_INFO": f"me:{PASSWORD}",
            f"{PREFIX}SPOOL_DIRECTORY": "/somewhere",
        },
    )
    assert PASSWORD not in done.stdout
    for line in (
        f"{PREFIX}BOOTSTRAP_SERVERS=127.0.0.1:1 (--bootstrap-servers)",
        f"{PREFIX}KAFKA_SASL_PASSWORD=*** (environment)",
        f"{PREFIX}SCHEMA_REGISTRY_USER_INFO=*** (environment)",
        f"{PREFIX}TOPIC=from.file (.env)",
        f"{PREFIX}SPOOL_DIRECTORY (environment) has no effect: nothing reads it: did you mean {PREFIX}SPOOL_DIR?",
        f".env in the working directory has no effect for {PREFIX}SPOOL_DIR",
        "security_protocol is not set, so sasl_password would have no effect",
    ):
        assert line in done.stdout


def test_off_connects_to_nothing(broker: Broker, tmp_path: Path) -> None:
    small = broker(topics=WELL)
    done = run_command("doctor", folder=tmp_path, env={"DO_NOT_TRACK": "1", f"{PREFIX}BOOTSTRAP_SERVERS": small.server})
    assert (done.status, "telemetry is off (DO_NOT_TRACK in the environment)" in done.stdout) == (0, True)
    assert small.accepted == 0


def test_a_client_that_is_missing_or_mixed(broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = broker(topics=WELL).server
    monkeypatch.setattr(release, "version", {"kafka-python": "2.0.2", "kafka-python-ng": "2.2.3"}.__getitem__)
    status, found = doctor(folder=tmp_path, server=server)
    assert (status, found["client"][0]) == (0, "warning")
    assert "kafka-python 2.0.2 and kafka-python-ng 2.2.3 are both installed" in found["client"][1]
    assert "pip uninstall" in found["client"][1]
    monkeypatch.setattr(installed, "find_spec", lambda name: None)
    status, found = doctor(folder=tmp_path, server=server, CLIENT="librdkafka")
    assert (status, "pip install 'flowise-telemetry[librdkafka]'" in found["client"][1]) == (1, True)
    assert found["topic"][0] == "ok"


@pytest.mark.parametrize("client", ["librdkafka", "kafka-python"])
def test_a_setting_that_the_client_refuses(client: str, broker: Broker, tmp_path: Path) -> None:
    environ = {
        f"{PREFIX}BOOTSTRAP_SERVERS": broker(topics=WELL).server,
        f"{PREFIX}CLIENT": client,
        f"{PREFIX}KAFKA_NO_SUCH_SETTING": "1",
    }
    done = run_command("doctor", folder=tmp_path, env=environ)
    (wrong,) = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert "client: connection" in wrong
    assert "no_such_setting" in wrong


def gateway(folder: Path, server: GatewayServer, key: str = KEY, **more: str) -> tuple[int, Found]:
    return doctor(folder=folder, ENDPOINT=server.url, PROJECT_KEY=key, **more)


def test_a_gateway_and_what_may_be_wrong_with_it(tmp_path: Path) -> None:
    with serving(GatewayServer(revoked={"revoked"})) as server:
        status, found = gateway(tmp_path, server)
        assert (status, failing(found)) == (0, set())
        assert {found[name][0] for name in ("connection", "gateway: ready", "gateway: key", "clock")} == {"ok"}
        assert found["setting"][1].endswith(f"{PREFIX}PROJECT_KEY=*** (environment): ")
        assert not server.broker.partition_counts(), "nothing is sent"
        status, found = gateway(tmp_path, server, "unknown")
        assert (status, "does not take the project key" in found["gateway: key"][1]) == (1, True)
        status, found = gateway(tmp_path, server, "revoked")
        assert (status, "the project key was revoked" in found["gateway: key"][1]) == (1, True)
        server.unready = "telemetry is off here"
        server.date = "Thu, 01 Jan 2026 00:00:00 GMT"
        status, found = gateway(tmp_path, server)
        assert (status, "is not ready: telemetry is off here" in found["gateway: ready"][1]) == (1, True)
        assert (found["clock"][0], "s ahead of that of" in found["clock"][1]) == ("warning", True)
    status, found = gateway(tmp_path, server)
    assert (status, failing(found), found["gateway: key"][0]) == (1, {"connection"}, "not tried")


def test_a_gateway_with_a_certificate(authority: Authority, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.issue("gateway"))
    with serving(GatewayServer(), context) as server:
        status, found = gateway(tmp_path, server)
        assert (status, "is of an authority that is not trusted here" in found["TLS"][1]) == (1, True)
        status, found = gateway(tmp_path, server, KAFKA_SSL_CAFILE=str(authority.file))
        assert (found["TLS"][0], "ends in 20 days" in found["TLS"][1]) == ("ok", True)


def test_a_schema_registry(broker: Broker, tmp_path: Path) -> None:
    server = broker(topics=WELL).server
    with small_registry() as registry:
        registry.user_info = f"me:{PASSWORD}"
        named = {"SCHEMA_REGISTRY_URL": registry.url}
        status, found = doctor(folder=tmp_path, server=server, **named)
        assert (status, "refuses the login (401)" in found["schema registry"][1]) == (1, True)
        named["SCHEMA_REGISTRY_USER_INFO"] = registry.user_info
        status, found = doctor(folder=tmp_path, server=server, **named)
        assert (status, found["schema registry"][0]) == (0, "warning")
        assert "flowise-telemetry schemas register" in found["schema registry"][1]
        for schema in catalog():
            registry.add(schema_json(schema), subject_of(EVENTS, schema))
        status, found = doctor("consume", folder=tmp_path, server=server, **named)
        assert (status, found["schema registry"][0]) == (0, "ok")
        assert not [asked for asked in registry.asked if asked.startswith("PUT") or asked.endswith("/versions")]
        registry.fault = 500
        assert doctor(folder=tmp_path, server=server, **named)[1]["schema registry"][0] == "failed"
    status, found = doctor(folder=tmp_path, server=server, **named)
    assert (status, "cannot be reached" in found["schema registry"][1]) == (1, True)


def test_folders_that_the_app_writes_to(broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = broker(topics=WELL).server
    named = {"SPOOL_DIR": str(tmp_path / "spool"), "LOG": str(tmp_path / "sent.log")}
    status, found = doctor(folder=tmp_path, server=server, **named)
    assert (status, found["spool"][0], found["ledger"][0]) == (0, "ok", "ok")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "spool").write_text("a file")
    status, found = doctor(folder=tmp_path, server=server, **named)
    assert (status, "is no folder" in found["spool"][1]) == (1, True)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    status, found = doctor(folder=tmp_path, server=server, **named)
    assert (status, "may not be written by this user" in found["ledger"][1]) == (1, True)


def test_a_secret_that_cannot_be_kept(broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = broker(topics=WELL).server
    assert doctor(folder=tmp_path, server=server)[1]["local secret"][0] == "ok"
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    status, found = doctor(folder=tmp_path, server=server)
    assert (status, found["local secret"][0]) == (0, "warning")
    assert f"set {PREFIX}INSTANCE_SECRET_FILE" in found["local secret"][1]
    assert doctor(folder=tmp_path, server=server, INSTANCE_SECRET="a" * 32)[1]["local secret"][0] == "ok"


def test_misuse(tmp_path: Path) -> None:
    assert run_command("doctor", "patient", folder=tmp_path).status == 2
    status, found = doctor(folder=tmp_path)
    assert (status, "neither" in found["settings"][1]) == (1, True)


def test_the_consumers_settings_and_their_defaults(tmp_path: Path) -> None:
    done = run_command(
        *("doctor", "consume", "--group", "ours"),
        folder=tmp_path,
        env={f"{PREFIX}CONSUME_SINK": f"postgresql://me:{PASSWORD}@127.0.0.1:1/telemetry"},
    )
    assert PASSWORD not in done.stdout
    for line in (
        f"{PREFIX}CONSUME_SINK=postgresql://me:***@127.0.0.1:1/telemetry (environment)",
        f"{PREFIX}CONSUME_GROUP=ours (--group)",
        f"{PREFIX}CONSUME_DEAD_LETTER_TOPIC={LETTERS} (default)",
        f"{PREFIX}BOOTSTRAP_SERVERS is not set",
        "cannot be reached",
        "see that it runs, and can be reached from here",
    ):
        assert line in done.stdout


@pytest.mark.parametrize("side", ["app", "consume"])
def test_what_belongs_to_other_commands_is_not_shown(side: str, tmp_path: Path) -> None:
    others = {
        f"{PREFIX}GATEWAY_KEYS": f"label:{PASSWORD}",
        f"{PREFIX}REPLAY_SINK": f"postgresql://me:{PASSWORD}@db/telemetry",
        f"{PREFIX}PROJECT_KEYS": PASSWORD,
        f"{PREFIX}CONSUME_SINK": f"clickhouse://me:{PASSWORD}@127.0.0.1:1/telemetry",
    }
    done = run_command("doctor", side, "--bootstrap-servers", "127.0.0.1:1", folder=tmp_path, env=others)
    assert PASSWORD not in done.stdout + done.stderr
    assert f"did you mean {PREFIX}PROJECT_KEY?" in done.stdout
