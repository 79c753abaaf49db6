"""``doctor``: each fault of an operator's first hour is named in its own line, with what mends it."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowise_telemetry_cli.commands.doctor import _cluster
from flowise_telemetry_cli.invocation import Invocation
from flowise_telemetry_transport import InMemoryBroker, TopicSpec
from tests.cli.in_process import run_command
from tests.services.certificates import Authority
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
    return Invocation(open_reader=lambda settings, **more: memory.open_reader(group=more.get("group")))


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


def test_misuse(tmp_path: Path) -> None:
    assert run_command("doctor", "patient", folder=tmp_path).status == 2
    status, found = doctor(folder=tmp_path)
    assert (status, "neither" in found["settings"][1]) == (1, True)
