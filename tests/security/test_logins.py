"""Logins, certificates and rights that come and go, with both clients on a real broker."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowise_telemetry_transport import (
    ClientName,
    KafkaSettings,
    OutgoingRecord,
    RecordWriter,
    TopicSpec,
    TransportError,
    errors,
    open_admin,
    open_reader,
    open_writer,
)
from flowise_telemetry_transport.clients import CLIENTS
from tests.services.kafka_secure import PASSWORDS, SecureKafka

LOGIN = {"sasl_mechanism": "PLAIN", "sasl_username": "app", "sasl_password": PASSWORDS["app"]}
UNTRUSTED: dict[str, Any] = {"ssl_cafile": None}

CASES: dict[str, tuple[str, dict[str, Any], type[TransportError]]] = {
    "wrong password": ("SASL_SSL", {**LOGIN, "sasl_password": "no"}, errors.AuthenticationError),
    "wrong SCRAM password": (
        "SASL_SSL",
        {**LOGIN, "sasl_mechanism": "SCRAM-SHA-256", "sasl_password": "no"},
        errors.AuthenticationError,
    ),
    "unknown user": ("SASL_SSL", {**LOGIN, "sasl_username": "nobody"}, errors.AuthenticationError),
    "mechanism": ("SASL_SSL", {**LOGIN, "sasl_mechanism": "SCRAM-SHA-512"}, errors.MechanismError),
    "authority": ("SASL_SSL", {**LOGIN, **UNTRUSTED}, errors.UnknownAuthorityError),
    "expired": ("EXPIRED", {}, errors.CertificateExpiredError),
    "other host": ("OTHERHOST", {}, errors.CertificateHostError),
    "TLS on a plain port": ("SASL_PLAINTEXT", {**LOGIN, "security_protocol": "SASL_SSL"}, errors.TlsUnexpectedError),
    "plain on a TLS port": (
        "SSL",
        {**UNTRUSTED, "security_protocol": "PLAINTEXT"},
        errors.TlsRequiredError,
    ),
    "no client certificate": ("SSL", {}, errors.ClientCertificateError),
    "no login": ("SASL_SSL", {"security_protocol": "SSL"}, errors.LoginRequiredError),
    "a login too many": ("PLAINTEXT", {**LOGIN, "security_protocol": "SASL_PLAINTEXT"}, errors.LoginUnexpectedError),
}


@pytest.fixture(params=sorted(CLIENTS))
def client(request: pytest.FixtureRequest) -> ClientName:
    name: ClientName = request.param
    return name


def works(settings: KafkaSettings) -> None:
    open_reader(settings).close()


def test_every_way_in(client: ClientName, secure_kafka: SecureKafka) -> None:
    for mechanism in ("PLAIN", "SCRAM-SHA-256"):
        for listener in ("SASL_SSL", "SASL_PLAINTEXT"):
            works(secure_kafka.login("app", client, listener, mechanism))
    for name, passphrase in (("client", None), ("encrypted", "key-password")):
        file = str(secure_kafka.authority.folder / f"{name}.pem")
        works(secure_kafka.settings(client, "SSL", ssl_certfile=file, ssl_keyfile=file, ssl_key_password=passphrase))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("opened", [open_reader, open_admin])
def test_every_way_out_is_told_within_seconds(
    case: str, opened: Callable[..., object], client: ClientName, secure_kafka: SecureKafka
) -> None:
    listener, settings, error = CASES[case]
    began = time.monotonic()
    with pytest.raises(TransportError) as raised:
        opened(secure_kafka.settings(client, listener, **settings))
    assert type(raised.value) is error
    assert secure_kafka.server_of(listener) in str(raised.value)
    assert time.monotonic() - began < 15


def token_of(user: str) -> Callable[[], tuple[str, float]]:
    """An unsecured JWS (RFC 7515, appendix A.5), which the broker of the tests takes."""
    import base64
    import json

    def part(document: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")

    def token() -> tuple[str, float]:
        now = int(time.time())
        issued = now - 60  # the broker's clock is another one: a token of the future is refused
        return f"{part({'alg': 'none'})}.{part({'sub': user, 'iat': issued, 'exp': now + 600})}.", now + 600

    return token


def test_tokens(client: ClientName, secure_kafka: SecureKafka) -> None:
    works(secure_kafka.settings(client, "SASL_SSL", token_provider=token_of("app")))
    with pytest.raises(errors.AuthenticationError, match="rejected the token"):
        works(secure_kafka.settings(client, "SASL_SSL", token_provider=lambda: ("a.b.c", time.time() + 60)))


def delivered(writer: RecordWriter, topic: str, *, seconds: float = 30.0) -> list[TransportError]:
    """Send until a record is acknowledged; return what the others were refused with."""
    refused: list[TransportError] = []
    done: list[object] = []

    def answered(delivery: object, error: TransportError | None) -> None:
        if error is None:
            done.append(delivery)
        else:
            refused.append(error)

    end = time.monotonic() + seconds
    while not done and time.monotonic() < end:
        try:
            writer.send(OutgoingRecord(topic, b"key", b"value"), answered)
        except TransportError as error:
            refused.append(error)
        writer.flush(timeout_seconds=2.0)
        writer.poll()
    assert done, refused
    return refused


def test_a_right_that_comes_later_is_noticed(client: ClientName, secure_kafka: SecureKafka) -> None:
    topic = secure_kafka.unique("late")
    admin = open_admin(secure_kafka.settings(client))
    admin.create_topic(TopicSpec(topic, 1))
    admin.close()
    writer = open_writer(secure_kafka.login("app", client), delivery_timeout_seconds=5.0, block_seconds=2.0)
    refused: list[TransportError] = []
    for _ in range(3):
        try:
            writer.send(OutgoingRecord(topic, None, b"x"), lambda _, error: refused.append(error) if error else None)
        except TransportError as error:
            refused.append(error)
        writer.flush(timeout_seconds=3.0)
        writer.poll()
    assert refused
    assert all(isinstance(error, errors.AuthorizationError) or error.retryable for error in refused)
    assert any(f"Write on topic {topic}" in str(error) for error in refused)
    with secure_kafka.rights("app", ("topic", topic, "write")):
        delivered(writer, topic)
        writer.close(timeout_seconds=2.0)


def test_closing_without_the_right_to_write_is_quiet(client: ClientName, secure_kafka: SecureKafka) -> None:
    writer = open_writer(secure_kafka.login("app", client), delivery_timeout_seconds=5.0, block_seconds=1.0)
    try:
        writer.send(OutgoingRecord(secure_kafka.unique("none"), None, b"x"), lambda *_: None)
    except TransportError:
        assert client == "kafka-python"  # which looks for the topic first
    writer.close(timeout_seconds=1.0)


def test_a_password_is_rotated_under_a_running_client(
    client: ClientName, secure_kafka: SecureKafka, tmp_path: Path
) -> None:
    topic = secure_kafka.unique("rotated")
    admin = open_admin(secure_kafka.settings(client))
    admin.create_topic(TopicSpec(topic, 1))
    admin.close()
    file = tmp_path / "password"
    file.write_text("not yet\n")
    settings = secure_kafka.settings(
        client, "SASL_SSL", sasl_mechanism="PLAIN", sasl_username="app", sasl_password_file=str(file)
    )
    writer = open_writer(settings, delivery_timeout_seconds=20.0, block_seconds=2.0)
    with secure_kafka.rights("app", ("topic", topic, "write")):
        with pytest.raises(AssertionError):
            delivered(writer, topic, seconds=4.0)
        file.write_text(PASSWORDS["app"] + "\n")
        delivered(writer, topic)
        writer.close(timeout_seconds=2.0)
