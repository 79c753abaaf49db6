"""``doctor`` against a real authorizer and real listeners: the line of each fault names it, with what mends it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flowise_telemetry_transport import KafkaSettings, TopicPartition, open_reader
from flowise_telemetry_transport.clients import CLIENTS
from tests.cli.in_process import run_command
from tests.security.roles import ROLES, Place
from tests.security.test_logins import CASES, LOGIN
from tests.services.kafka_secure import PASSWORDS, SecureKafka

LINES = {"topic": "topic: right", "group": "group: right", "dlq": "dead letters: right"}
SIDES = {"app": "app", "consumer": "consume", "replay": "replay", "dlq redrive": "redrive"}
STEPS = {"TLS on a plain port": "TLS", "plain on a TLS port": "TLS", "authority": "TLS", "expired": "TLS"}
STEPS |= {"other host": "TLS", "no client certificate": "TLS"}


@pytest.fixture(params=sorted(CLIENTS))
def client(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def doctor(settings: KafkaSettings, folder: Path, *arguments: str) -> tuple[int, dict[str, tuple[str, str]]]:
    given = {
        "KAFKA_SECURITY_PROTOCOL": settings.security_protocol,
        "KAFKA_SASL_MECHANISM": settings.sasl_mechanism,
        "KAFKA_SASL_USERNAME": settings.sasl_username,
        "KAFKA_SASL_PASSWORD": settings.sasl_password,
        "KAFKA_SSL_CAFILE": settings.ssl_cafile,
        "BOOTSTRAP_SERVERS": settings.servers_text,
        "CLIENT": settings.client,
    }
    environ = {f"FLOWISE_TELEMETRY_{name}": text for name, text in given.items() if text is not None}
    done = run_command("doctor", *arguments, "--json", folder=folder, env=environ)
    assert not any(password in done.stdout for password in PASSWORDS.values())
    checks = json.loads(done.stdout)["checks"]
    return done.status, {each["name"]: (each["state"], f"{each['says']}: {each['mend']}") for each in checks}


def filled(kafka: SecureKafka, folder: Path, client: str = "librdkafka") -> Place:
    """A place whose topics are there, on a cluster that has coordinators for groups."""
    place = Place(kafka, folder, client, kafka.unique("events"), kafka.unique("group"))
    place.fill()
    reader = open_reader(kafka.settings("librdkafka"), group=kafka.unique("first"))
    reader.committed([TopicPartition(place.topic, 0)])  # waits for the coordinator
    reader.close()
    return place


def failing(found: dict[str, tuple[str, str]]) -> set[str]:
    return {name for name, (state, _) in found.items() if state == "failed"}


@pytest.mark.parametrize("case", CASES)
def test_each_way_out(case: str, secure_kafka: SecureKafka, tmp_path: Path) -> None:
    listener, settings, _ = CASES[case]
    chosen: dict[str, Any] = {**settings}
    status, found = doctor(secure_kafka.settings("kafka-python", listener, **chosen), tmp_path)
    step = STEPS.get(case, "login")
    assert (status, failing(found)) == (1, {step})
    assert secure_kafka.server_of(listener) in found[step][1]


@pytest.mark.parametrize("role", SIDES)
def test_the_least_rights_are_enough(role: str, client: str, secure_kafka: SecureKafka, tmp_path: Path) -> None:
    place = filled(secure_kafka, tmp_path, client)
    with secure_kafka.rights("app", *ROLES[role].of(place)):
        status, found = doctor(place.settings(), tmp_path, *_arguments(role, place))
    assert (status, failing(found)) == (0, set())
    assert found["client: connection"][0] == "ok"
    assert found["dead letters: settings" if role == "dlq redrive" else "topic: settings"][0] == "not tried"


@pytest.mark.parametrize(
    ("role", "missing"), [(role, right) for role in SIDES for right in ROLES[role].rights], ids=str
)
def test_each_right_that_is_missing_is_named(
    role: str, missing: tuple[str, str, str], secure_kafka: SecureKafka, tmp_path: Path
) -> None:
    place = filled(secure_kafka, tmp_path)
    left = [right for right, plain in zip(ROLES[role].of(place), ROLES[role].rights, strict=True) if plain != missing]
    with secure_kafka.rights("app", *left):
        status, found = doctor(place.settings(), tmp_path, *_arguments(role, place))
    line = LINES[missing[1]]
    assert (status, failing(found)) == (1, {line})
    assert f"grant {missing[2].title()} on" in found[line][1]


def test_what_may_be_seen_is(secure_kafka: SecureKafka, tmp_path: Path) -> None:
    place = filled(secure_kafka, tmp_path)
    rights = (("topic", place.topic, "write"), ("topic", place.topic, "describe_configs"))
    with secure_kafka.rights("app", *rights):
        _, found = doctor(secure_kafka.settings("librdkafka", "SASL_SSL", **LOGIN), tmp_path, "--topic", place.topic)
    assert found["topic: retention"] == ("ok", f"{place.topic} keeps records for 7 days: ")
    assert "ends in 20 days" in found["TLS"][1]
    assert found["broker"][1] == "Kafka 4.1 or later: "


def _arguments(role: str, place: Place) -> tuple[str, ...]:
    if role == "app":
        return ("app", "--topic", place.topic)
    return (SIDES[role], "--topic", place.topic, "--group", place.group, "--sink", "jsonl:-")
