"""Connection settings, for all clients."""

from __future__ import annotations

import pytest

from flowise_telemetry_schemas.errors import ConfigurationError
from flowise_telemetry_transport import ClientName, KafkaSettings, open_reader, parse_bootstrap_servers
from flowise_telemetry_transport.clients import CLIENTS
from tests.services.kafka import KafkaService


def from_env(**variables: str) -> KafkaSettings:
    named = {f"FLOWISE_TELEMETRY_{name}": text for name, text in variables.items()}
    return KafkaSettings.from_env({"FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": "a:1", **named})


def test_settings_come_from_the_environment() -> None:
    settings = from_env(
        BOOTSTRAP_SERVERS="one:9092, two:9093",
        CLIENT="librdkafka",
        KAFKA_SECURITY_PROTOCOL="SASL_SSL",
        KAFKA_SASL_MECHANISM="SCRAM-SHA-256",
        KAFKA_SASL_PLAIN_USERNAME="ann",
        KAFKA_SASL_PASSWORD="hush",
        KAFKA_SSL_CAFILE="/ca.pem",
        KAFKA_SESSION_TIMEOUT_MS="12500",
        KAFKA_MAX_POLL_INTERVAL_MS="600000",
    )
    assert settings == KafkaSettings(
        bootstrap_servers=("one:9092", "two:9093"),
        client="librdkafka",
        security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-256",
        sasl_username="ann",
        sasl_password="hush",
        ssl_cafile="/ca.pem",
        session_timeout_seconds=12.5,
        options={"max_poll_interval_ms": "600000"},
    )


def test_secrets_do_not_show() -> None:
    settings = from_env(
        KAFKA_SECURITY_PROTOCOL="SASL_SSL",
        KAFKA_SASL_PLAIN_PASSWORD="hush",
        KAFKA_SSL_PASSWORD="hush",
        KAFKA_SSL_KEYSTORE_PASSWORD="hush",
        KAFKA_SASL_OAUTHBEARER_ASSERTION_PRIVATE_KEY_PASSPHRASE="hush",
    )
    assert "hush" not in repr(settings)
    assert "sasl_password='***'" in repr(settings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty: give host:port"),
        (" , ", "is empty: give host:port"),
        ("localhost", "'localhost' has no port: write localhost:9092"),
        ("a:9092,b", "'b' has no port"),
        ("a:kafka", "the port must be a number from 1 to 65535"),
        ("a:70000", "the port must be a number from 1 to 65535"),
        ("kafka://a:9092", "is a URL: give host:port without a scheme"),
        (":9092", "has no port"),
    ],
)
def test_malformed_servers_say_how_to_mend_them(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"HERE.*{message}"):
        parse_bootstrap_servers(text, source="HERE")


def test_ipv6_servers() -> None:
    assert parse_bootstrap_servers("[::1]:9092") == ("[::1]:9092",)


def test_no_servers_names_the_variable() -> None:
    with pytest.raises(ConfigurationError, match="FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS is not set"):
        KafkaSettings.from_env({})


@pytest.mark.parametrize(
    ("variable", "text"), [("CLIENT", "java"), ("KAFKA_SECURITY_PROTOCOL", "TLS"), ("KAFKA_SESSION_TIMEOUT_MS", "soon")]
)
def test_a_wrong_value_is_shown(variable: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        from_env(**{variable: text})


@pytest.mark.parametrize("client", sorted(CLIENTS))
def test_a_setting_that_the_client_does_not_know_is_named(client: ClientName) -> None:
    settings = KafkaSettings(bootstrap_servers=("127.0.0.1:1",), client=client, options={"no_such_thing": "1"})
    with pytest.raises(ConfigurationError, match="no_such_thing"):
        open_reader(settings)


@pytest.mark.parametrize("client", sorted(CLIENTS))
@pytest.mark.parametrize(
    "name", ["enable_auto_commit", "auto_offset_reset", "isolation_level", "check_crcs", "transactional_id"]
)
def test_a_setting_that_the_pipeline_depends_on_is_refused(client: ClientName, name: str) -> None:
    settings = KafkaSettings(bootstrap_servers=("127.0.0.1:1",), client=client, options={name: "true"})
    with pytest.raises(ConfigurationError, match=f"{name} cannot be set"):
        open_reader(settings)


@pytest.mark.parametrize(
    ("client", "name", "text", "said"),
    [
        ("librdkafka", "delivery_report_only_error", "true", "cannot be set"),
        ("librdkafka", "default_topic_config", "{}", "cannot be set"),
        ("librdkafka", "plugin_library_paths", "/tmp/any.so", "librdkafka refuses"),
        ("librdkafka", "rebalance_cb", "x", "librdkafka refuses"),
        ("librdkafka", "partition_assignment_strategy", "sticky", "no assignor 'sticky'"),
        ("librdkafka", "partition.assignment.strategy", "range, cooperative-sticky", "cannot be combined"),
        ("librdkafka", "group_protocol", "new", "librdkafka refuses"),
        ("librdkafka", "max_poll_interval_ms", "1", "librdkafka refuses"),
        ("kafka-python", "partition_assignment_strategy", "cooperative-sticky", "use librdkafka"),
        ("kafka-python", "group_protocol", "consumer", "use librdkafka"),
        ("kafka-python", "ssl_context", "x", "cannot be given as text"),
        ("kafka-python", "socket_options", "x", "cannot be given as text"),
        ("kafka-python", "receive_buffer_bytes", "x", "not a whole number"),
        ("kafka-python", "compression_type", "x", "not one of gzip"),
    ],
)
def test_what_cannot_be_served_is_refused_by_name_at_the_start(
    client: ClientName, name: str, text: str, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"(?s){name}.*{said}|{said}.*{name}"):
        open_reader(KafkaSettings(bootstrap_servers=("127.0.0.1:1",), client=client, options={name: text}), group="g")


@pytest.mark.parametrize("client", sorted(CLIENTS))
def test_one_set_of_names_works_for_both_clients(client: ClientName, embedded_kafka: KafkaService) -> None:
    options = {
        "max_poll_interval_ms": "60000",
        "fetch_max_wait_ms": "200",
        "metadata_max_age_ms": "10000",
        "linger_ms": "5",
    }
    open_reader(embedded_kafka.settings(client=client, options=options)).close()
