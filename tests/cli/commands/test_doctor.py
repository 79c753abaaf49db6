"""``doctor``: each fault of an operator's first hour is named in its own line, with what mends it."""

from __future__ import annotations

import json
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from flowise_telemetry_cli.commands.doctor import _cluster
from flowise_telemetry_cli.invocation import Invocation
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport import InMemoryBroker, TopicSpec, installed
from flowise_telemetry_transport.kafka_python import release
from flowise_telemetry_transport.schema_registry.subjects import schema_json, subject_of
from tests.cli.in_process import run_command
from tests.services.certificates import Authority
from tests.services.small_registry import small_registry
from tests.transport.gateway.server import KEY, GatewayServer, serving
from tests.transport.small_broker import SmallBroker
from tests.transport.small_topics import SmallTopic, SmallTopics

EVENTS, LETTERS = "flowise.telemetry.events", "flowise.telemetry.events.dlq"
PASSWORD = "hunter2marker"
WELL = SmallTopics({EVENTS: SmallTopic(), LETTERS: SmallTopic()})
PREFIX = "FLOWISE_TELEMETRY_"

Found = dict[str, tuple[str, str]]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def broker() -> Iterator[Callable[..., SmallBroker]]:
    with ExitStack() as stack:

        def made(**settings: Any) -> SmallBroker:
            opened = SmallBroker(**settings)
            stack.callback(opened.close)
            return opened

        yield made


Broker = Callable[..., SmallBroker]


def in_memory() -> Invocation:
    """The client's part is in memory: what is on the wire is the ``SmallBroker``'s."""
    memory = InMemoryBroker()
    for name in (EVENTS, LETTERS):
        memory.open_admin().create_topic(TopicSpec(name, 4))
    return Invocation(
        open_reader=lambda settings, **more: memory.open_reader(group=more.get("group")),
        open_admin=lambda settings: memory.open_admin(),
    )


def doctor(*arguments: str, folder: Path, server: str = "", **variables: str) -> tuple[int, Found]:
    """Return the exit status, and state and text of each finding by its name."""
    environ = {PREFIX + name: text for name, text in variables.items()}
    if server:
        environ[f"{PREFIX}BOOTSTRAP_SERVERS"] = server
    done = run_command("doctor", *arguments, "--json", folder=folder, env=environ, invocation=in_memory())
    assert PASSWORD not in done.stdout + done.stderr
    assert not done.stderr
    document = json.loads(done.stdout)
    found = {each["name"]: (each["state"], f"{each['says']}: {each['mend']}") for each in document["checks"]}
    assert document["failed"] == sum(each["state"] == "failed" for each in document["checks"])
    assert (done.status == 1) == bool(document["failed"])
    return done.status, found


def failing(found: Found) -> set[str]:
    return {name for name, (state, _) in found.items() if state == "failed"}


def test_all_is_well_from_both_sides(broker: Broker, tmp_path: Path) -> None:
    server = broker(topics=WELL).server
    status, found = doctor(folder=tmp_path, server=server)
    assert (status, failing(found)) == (0, set())
    assert found["topic: right"] == ("ok", f"Write on {EVENTS}: ")
    status, found = doctor("consume", "--sink", f"sqlite:///{tmp_path}/events.db", folder=tmp_path, server=server)
    assert (status, failing(found)) == (0, set())
    assert found["topic: right"] == ("ok", f"Read on {EVENTS}: ")
    assert found["dead letters: right"] == ("ok", f"Write on {LETTERS}: ")
    assert found["group: right"] == ("ok", "Read on group flowise-telemetry: ")
    assert list(tmp_path.iterdir()) == [], "no file is left"


def test_a_line_a_check_and_a_count_for_people(broker: Broker, tmp_path: Path) -> None:
    server = broker(topics=SmallTopics()).server
    done = run_command("doctor", folder=tmp_path, env={f"{PREFIX}BOOTSTRAP_SERVERS": server}, invocation=in_memory())
    lines = done.stdout.splitlines()
    assert (done.status, lines[0]) == (1, "as the app would be started here:")
    (wrong,) = [line for line in lines if line.startswith("FAILED")]
    assert wrong.split() == [
        *("FAILED", "topic", "topic", EVENTS, "does", "not", "exist:"),
        *("create", "it", "with", "flowise-telemetry", "topics", "create"),
    ]
    assert "failed 1" in lines[-1]


LOGIN = {
    "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
    "KAFKA_SASL_MECHANISM": "PLAIN",
    "KAFKA_SASL_USERNAME": "app",
    "KAFKA_SASL_PASSWORD": "app-password",
}
USERS = {"users": {"app": "app-password"}}


@pytest.mark.parametrize(
    ("settings", "variables", "step", "words"),
    [
        (USERS, {**LOGIN, "KAFKA_SASL_PASSWORD": PASSWORD}, "login", "wrong password, or no such user"),
        (USERS, {**LOGIN, "KAFKA_SASL_USERNAME": "nobody"}, "login", "wrong password, or no such user"),
        (USERS, {**LOGIN, "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512"}, "login", "does not offer"),
        (USERS, {}, "login", "closes the connection without a login"),
        ({}, LOGIN, "login", "takes no login on this port"),
        ({}, {"KAFKA_SECURITY_PROTOCOL": "SSL"}, "TLS", "does not speak TLS"),
        ({"advertised": ("127.0.0.1", 1)}, {}, "listeners", "advertised.listeners"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_step_that_fails_is_named_and_those_after_it_are_not_tried(
    settings: dict[str, Any], variables: dict[str, str], step: str, words: str, broker: Broker, tmp_path: Path
) -> None:
    status, found = doctor(folder=tmp_path, server=broker(topics=WELL, **settings).server, **variables)
    assert (status, failing(found)) == (1, {step})
    assert words in found[step][1]
    order = ["name", "connection", "TLS", "login", "listeners"]
    assert {found[name][0] for name in order[: order.index(step)]} <= {"ok"}
    assert {found[name] for name in order[order.index(step) + 1 :]} <= {("not tried", f"{step} failed: ")}
    assert found["topic"][0] == "not tried"


def test_certificates(broker: Broker, authority: Authority, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "theirs", "another authority")
    trusting = {"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_CAFILE": str(authority.file)}

    def said(certificate: Path, **variables: str) -> tuple[str, str]:
        server = broker(topics=WELL, certificate=certificate).server
        return doctor(folder=tmp_path, server=server, **(variables or trusting))[1]["TLS"]

    assert "is of an authority that is not trusted here" in said(stranger.issue("broker"))[1]
    assert "is out of date" in said(authority.issue("old", days=-3))[1]
    assert "is for another host than 127.0.0.1" in said(authority.issue("other", host="kafka.example.com"))[1]
    assert "speaks TLS: set security_protocol" in said(authority.issue("tls"), KAFKA_SECURITY_PROTOCOL="PLAINTEXT")[1]
    state, text = said(authority.issue("good"))
    assert (state, "by test authority, and ends in 20 days" in text) == ("ok", True)
    state, text = said(authority.issue("soon", days=5))
    assert (state, "ends in 5 days: renew it there" in text) == ("warning", True)
    mutual = broker(topics=WELL, certificate=authority.issue("mutual"), client_authority=authority.file)
    assert (
        "asks for a certificate of the client" in doctor(folder=tmp_path, server=mutual.server, **trusting)[1]["TLS"][1]
    )


def test_addresses(broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, found = doctor(folder=tmp_path, server="127.0.0.1:1")
    assert "no broker listens there" in found["connection"][1]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with monkeypatch.context() as patch:
            patch.setattr(_cluster, "SECONDS", 1.0)
            status, found = doctor(folder=tmp_path, server=address)
        assert (status, found["connection"][0]) == (1, "failed")
        assert "answer" in found["connection"][1]
    _, found = doctor(folder=tmp_path, server=f"127.0.0.1:1,{broker(topics=WELL).server}")
    assert (found["server"][0], found["topic"][0]) == ("warning", "ok")

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    _, found = doctor(folder=tmp_path, server="kafka.example.com:9092")
    assert "no host kafka.example.com is known here" in found["name"][1]


@pytest.mark.parametrize(
    ("side", "topics", "name", "words"),
    [
        ("app", {EVENTS: SmallTopic(rights=("Read",))}, "topic: right", f"grant Write on topic {EVENTS}"),
        ("app", {EVENTS: SmallTopic(rights=())}, "topic: right", f"grant Write on topic {EVENTS}"),
        ("consume", {EVENTS: SmallTopic(rights=("Write",))}, "topic: right", f"grant Read on topic {EVENTS}"),
        ("consume", {LETTERS: SmallTopic(rights=("Read",))}, "dead letters: right", f"grant Write on topic {LETTERS}"),
        ("consume", {LETTERS: None}, "dead letters", "create it with flowise-telemetry topics create"),
        ("app", {EVENTS: None}, "topic", "create it with flowise-telemetry topics create"),
        ("app", {EVENTS: SmallTopic(leaderless=2)}, "topic", "2 of them without a leader"),
        ("app", {EVENTS: SmallTopic(replicas=1, in_sync=1)}, "topic: replication", "no record is ever accepted"),
        ("app", {EVENTS: SmallTopic(in_sync=1)}, "topic: replication", "only 1 in sync: no record is accepted"),
    ],
)
def test_topics_and_rights(
    side: str, topics: dict[str, SmallTopic | None], name: str, words: str, broker: Broker, tmp_path: Path
) -> None:
    there = {topic: its for topic, its in {**WELL.topics, **topics}.items() if its is not None}
    status, found = doctor(side, folder=tmp_path, server=broker(topics=SmallTopics(there)).server)
    assert (status, failing(found)) == (1, {name})
    assert words in found[name][1]


def test_the_right_on_the_group_and_a_cluster_without_groups(broker: Broker, tmp_path: Path) -> None:
    for rights in ((), ("Describe",)):
        server = broker(topics=replace(WELL, group_rights=rights)).server
        status, found = doctor("consume", "--group", "ours", folder=tmp_path, server=server)
        assert (status, "grant Read on that consumer group" in found["group: right"][1]) == (1, True)
    server = broker(topics=replace(WELL, has_groups=False)).server
    status, found = doctor("consume", folder=tmp_path, server=server)
    assert (status, found["group: right"][0]) == (0, "not tried")


SETTINGS = {
    "min.insync.replicas": ({"min.insync.replicas": "3"}, "topic: replication", "one broker that restarts stops all"),
    "one copy in sync": ({"min.insync.replicas": "1"}, "topic: replication", "one disk may lose"),
    "retention.ms": ({"retention.ms": "3600000"}, "topic: retention", "for 0.0417 days"),
    "cleanup.policy": ({"cleanup.policy": "compact"}, "topic: retention", "nothing in it ever ends"),
    "max.message.bytes": ({"max.message.bytes": "100000"}, "topic: record size", "larger ones are refused"),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_settings_of_a_topic_that_lose_events_are_warnings(case: str, broker: Broker, tmp_path: Path) -> None:
    settings, name, words = SETTINGS[case]
    topic = SmallTopic(settings={**(SmallTopic().settings or {}), **settings})
    status, found = doctor(folder=tmp_path, server=broker(topics=SmallTopics({EVENTS: topic})).server)
    assert (status, found[name][0], words in found[name][1]) == (0, "warning", True)


def test_settings_that_may_not_be_seen_are_not_tried(broker: Broker, tmp_path: Path) -> None:
    status, found = doctor(
        folder=tmp_path, server=broker(topics=SmallTopics({EVENTS: SmallTopic(settings=None)})).server
    )
    assert (status, found["topic: settings"][0]) == (0, "not tried")
    assert "DescribeConfigs" in found["topic: settings"][1]


def test_settings_say_where_they_came_from(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"{PREFIX}TOPIC=from.file\n{PREFIX}SPOOL_DIR=/somewhere\n")
    done = run_command(
        *("doctor", "--bootstrap-servers", "127.0.0.1:1"),
        folder=tmp_path,
        env={f"{PREFIX}KAFKA_SASL_PASSWORD": PASSWORD, f"{PREFIX}SCHEMA_REGISTRY_USER_INFO": f"me:{PASSWORD}"},
    )
    assert PASSWORD not in done.stdout
    for line in (
        f"{PREFIX}BOOTSTRAP_SERVERS=127.0.0.1:1 (--bootstrap-servers)",
        f"{PREFIX}KAFKA_SASL_PASSWORD=*** (environment)",
        f"{PREFIX}SCHEMA_REGISTRY_USER_INFO=*** (environment)",
        f"{PREFIX}TOPIC=from.file (.env)",
        f".env in the working directory has no effect for {PREFIX}SPOOL_DIR",
        "security_protocol is not set, so sasl_password would have no effect",
    ):
        assert line in done.stdout


def test_off_connects_to_nothing(broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = broker(topics=WELL).server

    def connects(*_: object, **__: object) -> None:
        raise AssertionError("it connects")

    monkeypatch.setattr(socket, "create_connection", connects)
    done = run_command("doctor", folder=tmp_path, env={"DO_NOT_TRACK": "1", f"{PREFIX}BOOTSTRAP_SERVERS": server})
    assert (done.status, "telemetry is off (DO_NOT_TRACK in the environment)" in done.stdout) == (0, True)


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


def test_records_of_later_than_now(broker: Broker, tmp_path: Path) -> None:
    status, found = doctor(folder=tmp_path, server=broker(topics=replace(WELL, has_later=True)).server)
    assert (status, found["clock"][0], "set both by NTP" in found["clock"][1]) == (0, "warning", True)


def gateway(folder: Path, server: GatewayServer, key: str = KEY, **more: str) -> tuple[int, Found]:
    return doctor(folder=folder, ENDPOINT=server.url, PROJECT_KEY=key, **more)


def test_a_gateway_and_what_may_be_wrong_with_it(tmp_path: Path) -> None:
    with serving(GatewayServer(revoked={"revoked"}, date=formatdate(usegmt=True))) as server:
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


def test_misuse(tmp_path: Path) -> None:
    assert run_command("doctor", "patient", folder=tmp_path).status == 2
    status, found = doctor(folder=tmp_path)
    assert (status, "neither" in found["settings"][1]) == (1, True)
