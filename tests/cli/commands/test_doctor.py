"""``doctor``: each fault of an operator's first hour is named in its own line, with what mends it."""

from __future__ import annotations

import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowise_telemetry_cli.commands.doctor import _cluster
from flowise_telemetry_cli.commands.doctor._course import Course
from flowise_telemetry_transport.diagnosis.finding import Finding, ok
from tests.cli.doctor import EVENTS, LETTERS, PASSWORD, PREFIX, WELL, Broker, doctor, failing, in_memory
from tests.cli.in_process import run_command
from tests.services.certificates import Authority
from tests.transport.small_topics import SmallTopic, SmallTopics


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
    assert lines[-1].startswith("failed: topic; ok ")


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
    old = said(authority.issue("old", days=-3))[1]
    assert "is out of date (good from " in old
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


def test_the_certificate_of_an_advertised_address(broker: Broker, authority: Authority, tmp_path: Path) -> None:
    second = broker(topics=WELL, certificate=authority.issue("second", host="kafka-2.example.com")).server
    host, _, port = second.rpartition(":")
    first = broker(topics=WELL, certificate=authority.issue("first"), advertised=(host, int(port))).server
    trusting = {"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_CAFILE": str(authority.file)}
    status, found = doctor(folder=tmp_path, server=first, **trusting)
    assert (status, f"the certificate of {second} is for another host" in found["TLS"][1]) == (1, True)


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

    real = socket.getaddrinfo

    def look_up(host: str, *more: Any, **named: Any) -> Any:
        if host == "kafka.example.com":
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return real(host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    _, found = doctor(folder=tmp_path, server="kafka.example.com:9092")
    assert "no host kafka.example.com is known here" in found["name"][1]


@pytest.mark.parametrize(
    ("side", "topics", "name", "words"),
    [
        ("app", {EVENTS: SmallTopic(rights=("Read",))}, "topic: right", f"grant Write on topic {EVENTS}"),
        ("app", {EVENTS: SmallTopic(rights=())}, "topic: right", f"grant Write on topic {EVENTS}"),
        ("consume", {EVENTS: SmallTopic(rights=("Write",))}, "topic: right", f"grant Read on topic {EVENTS}"),
        ("consume", {LETTERS: SmallTopic(rights=("Read",))}, "dead letters: right", f"grant Write on topic {LETTERS}"),
        ("replay", {EVENTS: SmallTopic(rights=("Write",))}, "topic: right", f"grant Read on topic {EVENTS}"),
        ("redrive", {LETTERS: SmallTopic(rights=("Write",))}, "dead letters: right", f"grant Read on topic {LETTERS}"),
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


def test_records_of_later_than_now(broker: Broker, tmp_path: Path) -> None:
    status, found = doctor(folder=tmp_path, server=broker(topics=replace(WELL, has_later=True)).server)
    assert (status, found["clock"][0], "set both by NTP" in found["clock"][1]) == (0, "warning", True)


def test_a_login_that_only_the_client_can_make(broker: Broker, tmp_path: Path) -> None:
    kerberos = {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SASL_MECHANISM": "GSSAPI"}
    status, found = doctor(folder=tmp_path, server=broker(topics=WELL, mechanism="GSSAPI", **USERS).server, **kerberos)
    assert (status, failing(found)) == (0, set())
    assert {found[name][0] for name in ("login", "listeners", "topic", "topic: right")} == {"not tried"}
    assert found["client: connection"][0] == "ok"


def test_nothing_is_begun_after_the_time() -> None:
    shown: list[Finding] = []
    (found,) = Course(time.monotonic() - 1, shown.append).take("late", 60, lambda _: iter([ok("late", "well")]))
    assert (found.state, found.line, shown) == ("not tried", "the time is over: give more with --timeout", [found])
