"""Why a cluster cannot be used: one type for each cause, with address, setting and mend."""

from __future__ import annotations

import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowise_telemetry_schemas.errors import ConfigurationError, TelemetryError
from flowise_telemetry_transport import KafkaSettings, errors, open_admin, open_reader
from flowise_telemetry_transport.clients import CLIENTS
from flowise_telemetry_transport.diagnosis.explain import diagnose
from flowise_telemetry_transport.settings import SecurityProtocol
from tests.services.certificates import Authority
from tests.transport.small_broker import SmallBroker, small_brokers

pytestmark = pytest.mark.slow

USERS = {"app": "app-password"}
SECRET = "hunter2marker"
LOGIN = {"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "sasl_username": "app"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"), "another authority")


@pytest.fixture
def broker() -> Iterator[Callable[..., SmallBroker]]:
    with small_brokers() as made:
        yield made


def said(server: str | tuple[str, ...], **settings: Any) -> TelemetryError | None:
    servers = (server,) if isinstance(server, str) else server
    return diagnose(KafkaSettings(bootstrap_servers=servers, **settings))


Broker = Callable[..., SmallBroker]


def test_a_cluster_that_works_is_none(broker: Broker, authority: Authority) -> None:
    assert said(broker().server) is None
    secure = broker(certificate=authority.issue("broker"), users=USERS)
    assert said(secure.server, **LOGIN, sasl_password="app-password", ssl_cafile=str(authority.file)) is None


@pytest.mark.parametrize("wrong", [{"sasl_password": SECRET}, {"sasl_username": "nobody", "sasl_password": SECRET}])
def test_a_wrong_password_or_user(wrong: dict[str, str], broker: Broker, authority: Authority) -> None:
    secure = broker(certificate=authority.issue("broker"), users=USERS)
    found = said(secure.server, **{**LOGIN, **wrong}, ssl_cafile=str(authority.file))
    assert type(found) is errors.AuthenticationError
    for word in (secure.server, "sasl_username", "KAFKA_SASL_PASSWORD", "wrong password, or no such user"):
        assert word in str(found)
    assert SECRET not in "".join(traceback.format_exception(found))


def test_a_mechanism_that_is_not_offered(broker: Broker) -> None:
    plain = broker(users=USERS)
    found = said(
        plain.server,
        **{**LOGIN, "security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "SCRAM-SHA-512"},
        sasl_password="x",
    )
    assert type(found) is errors.MechanismError
    assert "SCRAM-SHA-512, but PLAIN" in str(found)


def test_a_login_that_is_wanted_and_one_that_is_not(broker: Broker) -> None:
    found = said(broker(users=USERS).server)
    assert type(found) is errors.LoginRequiredError
    assert "to SASL_PLAINTEXT" in str(found)
    found = said(broker().server, **{**LOGIN, "security_protocol": "SASL_PLAINTEXT"}, sasl_password="x")
    assert type(found) is errors.LoginUnexpectedError


def test_certificates_of_the_broker(broker: Broker, authority: Authority, stranger: Authority) -> None:
    trusting = {"security_protocol": "SSL", "ssl_cafile": str(authority.file)}
    found = said(broker(certificate=stranger.issue("broker")).server, **trusting)
    assert type(found) is errors.UnknownAuthorityError
    assert "ssl_cafile (KAFKA_SSL_CAFILE)" in str(found)
    assert type(said(broker(certificate=authority.issue("b")).server, security_protocol="SSL")) is type(found)
    found = said(broker(certificate=authority.issue("old", days=-3)).server, **trusting)
    assert type(found) is errors.CertificateExpiredError
    other = broker(certificate=authority.issue("other", host="kafka.example.com"))
    assert type(said(other.server, **trusting)) is errors.CertificateHostError
    assert said(other.server, **trusting, options={"ssl_check_hostname": "false"}) is None


def test_tls_on_a_plain_port_and_the_reverse(broker: Broker, authority: Authority) -> None:
    found = said(broker().server, security_protocol="SSL", ssl_cafile=str(authority.file))
    assert type(found) is errors.TlsUnexpectedError
    assert "to PLAINTEXT" in str(found)
    secure = broker(certificate=authority.issue("broker"), users=USERS)
    found = said(secure.server)
    assert type(found) is errors.TlsRequiredError
    assert "to SSL" in str(found)
    found = said(secure.server, **{**LOGIN, "security_protocol": "SASL_PLAINTEXT"}, sasl_password="x")
    assert type(found) is errors.TlsRequiredError
    assert "to SASL_SSL" in str(found)


def test_certificates_of_the_client(broker: Broker, authority: Authority, stranger: Authority) -> None:
    mutual = broker(certificate=authority.issue("broker"), client_authority=authority.file)
    trusting = {"security_protocol": "SSL", "ssl_cafile": str(authority.file)}
    found = said(mutual.server, **trusting)
    assert type(found) is errors.ClientCertificateError
    assert "ssl_certfile (KAFKA_SSL_CERTFILE)" in str(found)
    theirs = str(stranger.issue("client"))
    found = said(mutual.server, **trusting, ssl_certfile=theirs, ssl_keyfile=theirs)
    assert type(found) is errors.ClientCertificateError
    assert theirs in str(found)
    ours = str(authority.issue("client"))
    assert said(mutual.server, **trusting, ssl_certfile=ours, ssl_keyfile=ours) is None


def test_addresses() -> None:
    assert type(said("127.0.0.1:1")) is errors.UnreachableError
    found = said("nowhere.invalid:9092")
    assert isinstance(found, errors.UnknownHostError | errors.BrokerUnavailableError)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        found = diagnose(KafkaSettings(bootstrap_servers=(f"127.0.0.1:{silent.getsockname()[1]}",)), seconds=0.5)
        assert isinstance(found, errors.BrokerUnavailableError)
        assert time.monotonic() - began < 5


METADATA, API_VERSIONS, AUTHENTICATE = 3, 18, 36


@pytest.mark.parametrize(
    ("security_protocol", "request_kind"),
    [
        *((protocol, kind) for protocol in ("PLAINTEXT", "SSL") for kind in (API_VERSIONS, METADATA)),
        *(("SASL_PLAINTEXT", kind) for kind in (API_VERSIONS, AUTHENTICATE, METADATA)),
    ],
)
def test_a_broker_that_is_slow_wants_no_other_login(
    security_protocol: SecurityProtocol, request_kind: int, broker: Broker, authority: Authority
) -> None:
    is_secure, has_users = security_protocol == "SSL", security_protocol.startswith("SASL")
    slow = broker(
        certificate=authority.issue("broker") if is_secure else None,
        users=USERS if has_users else None,
        leaves_waiting=request_kind,
    )
    settings = KafkaSettings(bootstrap_servers=(slow.server,), security_protocol=security_protocol)
    if is_secure:
        settings = replace(settings, ssl_cafile=str(authority.file))
    if has_users:
        settings = replace(settings, sasl_mechanism="PLAIN", sasl_username="app", sasl_password="app-password")
    found = diagnose(settings, seconds=0.5)
    # On a busy machine it is not the probe that has run out of time first.
    assert type(found) in (errors.UnreachableError, errors.BrokerUnavailableError)
    assert "answer" in str(found)


def test_an_advertised_address_that_cannot_be_reached(broker: Broker) -> None:
    lost = broker(advertised=("127.0.0.1", 1))
    found = said(lost.server)
    assert type(found) is errors.AdvertisedListenerError
    assert "names 127.0.0.1:1 as a broker's address" in str(found)
    assert "advertised.listeners" in str(found)


def test_one_that_says_why_is_heard_before_one_that_is_away(broker: Broker) -> None:
    assert type(said(("127.0.0.1:1", broker(users=USERS).server))) is errors.LoginRequiredError
    assert said(("127.0.0.1:1", broker().server)) is None


def test_what_is_no_broker(broker: Broker) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:

        def hang_up() -> None:
            for _ in range(2):
                other.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        found = said(f"127.0.0.1:{other.getsockname()[1]}")
        thread.join()
    assert type(found) is errors.UnreachableError
    assert "no Kafka broker" in str(found)


@pytest.mark.parametrize("client", sorted(CLIENTS))
@pytest.mark.parametrize("opened", [open_reader, open_admin])
def test_both_clients_tell_it_when_they_are_opened(
    client: str, opened: Callable[..., object], broker: Broker, authority: Authority, stranger: Authority
) -> None:
    server = broker(certificate=stranger.issue("broker")).server
    settings = KafkaSettings(
        bootstrap_servers=(server,),
        client=client,  # type: ignore[arg-type]  # one of them
        security_protocol="SSL",
        ssl_cafile=str(authority.file),
        connect_timeout_seconds=2.0,
    )
    with pytest.raises(errors.UnknownAuthorityError):
        opened(settings)


@pytest.mark.parametrize("client", sorted(CLIENTS))
@pytest.mark.parametrize("setting", ["ssl_cafile", "ssl_certfile", "ssl_keyfile"])
def test_a_file_that_does_not_do_is_named_with_its_setting(
    setting: str, client: str, authority: Authority, tmp_path: Path
) -> None:
    good = str(authority.issue("client"))
    files = {"ssl_cafile": str(authority.file), "ssl_certfile": good, "ssl_keyfile": good}
    (tmp_path / "empty.pem").write_text("no certificate")
    for wrong, why in ((tmp_path / "nowhere.pem", "No such file"), (tmp_path / "empty.pem", "")):
        settings = KafkaSettings(
            bootstrap_servers=("127.0.0.1:1",),
            client=client,  # type: ignore[arg-type]  # one of them
            security_protocol="SSL",
            **{**files, setting: str(wrong)},  # type: ignore[arg-type]  # by name
        )
        with pytest.raises(ConfigurationError, match=rf"KAFKA_SSL_.*({wrong.name}|client.pem): .*{why}") as raised:
            open_reader(settings)
        assert raised.value.argument is not None


@pytest.mark.parametrize("client", sorted(CLIENTS))
@pytest.mark.parametrize("password", [None, SECRET])
def test_an_encrypted_key_asks_nobody(client: str, password: str | None, authority: Authority) -> None:
    locked = str(authority.issue("locked", passphrase="key-password"))
    settings = KafkaSettings(
        bootstrap_servers=("127.0.0.1:1",),
        client=client,  # type: ignore[arg-type]  # one of them
        security_protocol="SSL",
        ssl_certfile=locked,
        ssl_keyfile=locked,
        ssl_key_password=password,
    )
    with pytest.raises(ConfigurationError, match=r"ssl_key_password \(KAFKA_SSL_KEY_PASSWORD\)") as raised:
        open_reader(settings)
    assert SECRET not in "".join(traceback.format_exception(raised.value))
