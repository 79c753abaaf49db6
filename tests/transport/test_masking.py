"""No secret in anything that people read, whichever error path brings it there."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowise_telemetry_schemas.errors import ConfigurationError, TelemetryError
from flowise_telemetry_transport import ClientName, KafkaSettings, open_admin, open_writer, parse_bootstrap_servers
from flowise_telemetry_transport.clients import CLIENTS, warm_up
from flowise_telemetry_transport.masking import mask_servers

SECRET = "hunter2marker"

ADDRESSES = st.sampled_from([
    "ann:{}@kafka:9092",
    "{}@kafka:9092",
    "a:9092,ann:{}@kafka:9092",
    "ann:x,{}@kafka:9092,b:9092",
    "ann:{},x@kafka",
    "SASL_SSL://ann:{}@kafka:9092",
    "SASL_SSL://{}@kafka",
    "kafka:9092?password={}",
    "kafka:{}",
    "ann:{}@",
    "ann:{}@@kafka:9092",
    "ann:a/{}@[::1]:9092",
    "ann:é{}é@kafka:9092",
    "ann {}:9092@kafka:1",
])  # fmt: skip


@given(address=ADDRESSES, padding=st.sampled_from(["", "/", ":", "@", ",", "%40", " "]))
def test_no_address_shows_its_password(address: str, padding: str) -> None:
    text = address.format(padding + SECRET)
    assert SECRET not in mask_servers(text)
    for use in (parse_bootstrap_servers, lambda text: KafkaSettings(bootstrap_servers=(text,))):
        with pytest.raises(ConfigurationError) as raised:
            use(text)
        assert SECRET not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize("servers", [("ann:hunter2marker@kafka:9092",), ("a:1", "hunter2marker@kafka:9092")])
def test_no_settings_show_it_either(servers: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError) as raised:
        KafkaSettings(bootstrap_servers=servers)
    assert SECRET not in str(raised.value)


def test_a_plain_address_is_shown_as_it_is() -> None:
    assert mask_servers("a:9092, b.example.com:9093,[::1]:9094") == "a:9092, b.example.com:9093,[::1]:9094"
    assert mask_servers("ann:hunter2marker@a:9092,b:9092") == "***@a:9092,b:9092"
    assert mask_servers("") == ""


SECRET_SETTINGS = [
    {"sasl_password": SECRET},
    {"ssl_key_password": SECRET, "ssl_keyfile": "/nowhere"},
    {"options": {"ssl_key_pem": SECRET}},
    {"options": {"ssl_keystore_password": SECRET}},
    {"options": {"sasl_oauthbearer_client_secret": SECRET}},
    {"options": {"sasl_oauthbearer_assertion_private_key_passphrase": SECRET}},
    {"options": {"sasl_oauthbearer_config": SECRET}},
    {"options": {"no_such_password": SECRET}},
]


@pytest.mark.slow
@pytest.mark.parametrize("client", sorted(CLIENTS))
@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SASL_PLAINTEXT", "SASL_SSL", "SSL"])
@pytest.mark.parametrize("secret", SECRET_SETTINGS, ids=str)
def test_no_error_of_a_client_shows_a_secret_setting(
    client: ClientName, protocol: str, secret: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    settings = KafkaSettings(
        bootstrap_servers=("127.0.0.1:1",),
        client=client,
        security_protocol=protocol,  # type: ignore[arg-type]  # one of them
        sasl_mechanism="PLAIN" if "SASL" in protocol else None,
        sasl_username="ann",
        connect_timeout_seconds=0.1,
        **secret,  # type: ignore[arg-type]  # by name
    )
    said = [repr(settings), str(settings)]
    with caplog.at_level("DEBUG"):
        uses: list[Callable[[], None]] = [
            lambda: warm_up(settings),
            lambda: open_writer(settings, block_seconds=0.1).close(timeout_seconds=0.1),
            lambda: open_admin(settings).close(),
        ]
        for use in uses:
            try:
                use()
            except TelemetryError as error:
                said += traceback.format_exception(error)
    assert SECRET not in "".join([*said, caplog.text])
