"""Settings of TLS, logins and code: what is refused, and what an operator is told."""

from __future__ import annotations

import itertools
import logging
import re
import traceback
from pathlib import Path

import pytest

from flowise_telemetry_schemas.errors import ConfigurationError, TelemetryError
from flowise_telemetry_transport import ClientName, KafkaSettings, open_reader, open_writer
from flowise_telemetry_transport.clients import CLIENTS, warm_up
from flowise_telemetry_transport.option_names import is_code

K = "FLOWISE_TELEMETRY_KAFKA_"


def from_env(**settings: str) -> KafkaSettings:
    named = {f"{K}{name}": text for name, text in settings.items()}
    return KafkaSettings.from_env({"FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": "a:1", **named})


PORTS = itertools.count(20_000)
"""Each server is warned of once a process; other tests name those of low ports."""

FORGOTTEN = [
    "SASL_MECHANISM",
    "SASL_USERNAME",
    "SASL_PLAIN_PASSWORD",
    "SASL_PASSWORD_FILE",
    "TOKEN_PROVIDER",
    "SASL_OAUTHBEARER_METHOD",
    "SSL_CAFILE",
    "SSL_CA_LOCATION",
    "SSL_CA_PEM",
    "SSL_CERTFILE",
    "SSL_KEYFILE",
    "SSL_CRLFILE",
    "SSL_CHECK_HOSTNAME",
]


@pytest.mark.parametrize("name", FORGOTTEN)
def test_a_forgotten_protocol_is_refused(name: str) -> None:
    protocol = "SSL" if name.startswith("SSL") else "SASL_SSL"
    with pytest.raises(ConfigurationError, match=rf"in clear: set it \(KAFKA_SECURITY_PROTOCOL\) to {protocol}"):
        from_env(**{name: "hush"})
    assert from_env(**{name: "hush", "SECURITY_PROTOCOL": protocol}).security_protocol == protocol


def test_without_any_the_connection_is_in_clear() -> None:
    assert from_env().security_protocol == KafkaSettings(bootstrap_servers=("a:1",)).security_protocol == "PLAINTEXT"


CODE = [
    "PLUGIN_LIBRARY_PATHS",
    "plugin.library.paths",
    "Plugin.Library_Paths",
    "SSL_ENGINE_LOCATION",
    "SSL_ENGINE_ID",
    "SSL_PROVIDERS",
    "SASL_KERBEROS_KINIT_CMD",
    "INTERCEPTORS",
    "ERROR_CB",
    "OAUTH_CB",
    "SSL_CONTEXT",
    "SASL_OAUTH_TOKEN_PROVIDER",
    "KAFKA_CLIENT",
    "SELECTOR",
    "METRIC_REPORTERS",
]


@pytest.mark.parametrize("name", CODE)
def test_no_variable_loads_code_or_runs_a_command(name: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"{K}{name} loads code or runs a command"):
        from_env(SECURITY_PROTOCOL="SASL_SSL", **{name: "theirs"})


@pytest.mark.parametrize("text", ["a; rm b", "$(id)", "`id`", 'a" || id', "a b", "a|b", "a\nb", "a&b", "a>b"])
@pytest.mark.parametrize("name", ["SASL_KERBEROS_PRINCIPAL", "SASL_KERBEROS_KEYTAB", "SASL_KERBEROS_SERVICE_NAME"])
def test_no_variable_adds_to_the_command_of_kinit(name: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match="runs a command"):
        from_env(SECURITY_PROTOCOL="SASL_SSL", **{name: text})
    from_env(SECURITY_PROTOCOL="SASL_SSL", **{name: "app/host-1.example.com@EXAMPLE.COM"})


def test_an_argument_may() -> None:
    settings = KafkaSettings.from_env(
        {"FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": "a:1"},
        given={"plugin.library.paths": "ours.so", "SESSION_TIMEOUT_MS": 12_000},
    )
    assert (settings.options, settings.session_timeout_seconds) == ({"plugin_library_paths": "ours.so"}, 12.0)


def test_every_option_of_librdkafka_that_names_code_is_known() -> None:
    """A later librdkafka may have more of them: its own table of settings is in the binary of the client."""
    import confluent_kafka.cimpl

    binaries = [Path(confluent_kafka.cimpl.__file__)]
    binaries += Path(confluent_kafka.cimpl.__file__).parents[1].glob("confluent_kafka.libs/librdkafka*")
    names = {
        name.decode()
        for binary in binaries
        for name in re.findall(rb"\0((?:[a-z]+\.)+[a-z]+)(?=\0)", binary.read_bytes())
    }
    assert "ssl.providers" in names
    words = re.compile(r"plugin|engine\.|provider|\bcmd\b|command|librar|module|script|exec")
    found = {name for name in names if words.search(name)}
    assert found <= {
        "plugin.library.paths", "ssl.engine.location", "ssl.engine.id", "ssl.providers", "sasl.kerberos.kinit.cmd",
    } | {name for name in found if name.startswith("curl.")}  # fmt: skip
    assert all(is_code(name.replace(".", "_"), "x") for name in found)


@pytest.mark.parametrize("client", sorted(CLIENTS))
@pytest.mark.parametrize("name", ["METADATA_BROKER_LIST", "metadata.broker.list", "BOOTSTRAP_SERVERS"])
def test_an_alias_names_no_other_servers(name: str, client: ClientName) -> None:
    with pytest.raises(ConfigurationError, match="cannot be set"):
        from_env(**{name: "theirs:1"})
    with pytest.raises(ConfigurationError, match="cannot be set"):
        KafkaSettings(bootstrap_servers=("a:1",), client=client, options={name: "theirs:1"})


@pytest.mark.parametrize("client", sorted(CLIENTS))
@pytest.mark.parametrize(
    ("settings", "warning"),
    [
        (
            {"SECURITY_PROTOCOL": "SASL_PLAINTEXT", "SASL_MECHANISM": "PLAIN", "SASL_USERNAME": "ann"},
            "the password for SERVER is sent in clear (PLAIN over SASL_PLAINTEXT): use SASL_SSL",
        ),
        (
            {"SECURITY_PROTOCOL": "SSL", "SSL_CHECK_HOSTNAME": "false"},
            "ssl_check_hostname lets any machine pass for SERVER",
        ),
        ({"SECURITY_PROTOCOL": "SSL", "ENABLE_SSL_CERTIFICATE_VERIFICATION": "false"}, "lets any machine pass"),
        ({"SECURITY_PROTOCOL": "SSL", "SSL_ENDPOINT_IDENTIFICATION_ALGORITHM": "none"}, "lets any machine pass"),
    ],
)
def test_what_is_dangerous_is_one_warning(
    client: ClientName,
    settings: dict[str, str],
    warning: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = f"127.0.0.1:{next(PORTS)}"
    environ = {f"{K}{name}": text for name, text in settings.items()}
    environ |= {"FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": server, "FLOWISE_TELEMETRY_CLIENT": client}
    if "SASL" in settings["SECURITY_PROTOCOL"]:
        environ[f"{K}SASL_PASSWORD"] = "hush"
    found = KafkaSettings.from_env(environ)
    for _ in range(2):
        warm_up(found)
        open_writer(found, block_seconds=0.1).close(timeout_seconds=0.0)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert warning.replace("SERVER", server) in warnings[0]


def test_what_is_safe_is_none() -> None:
    assert from_env(SECURITY_PROTOCOL="SASL_SSL", SASL_MECHANISM="PLAIN", SSL_CHECK_HOSTNAME="true").dangers == ()
    assert from_env(SECURITY_PROTOCOL="SASL_PLAINTEXT", SASL_MECHANISM="SCRAM-SHA-512").dangers == ()


@pytest.mark.parametrize("name", ["SASL_PASSWORD_FILE", "SASL_PLAIN_PASSWORD_FILE"])
def test_a_password_is_read_from_its_file_each_time(name: str, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("first pass\n")
    settings = from_env(SECURITY_PROTOCOL="SASL_SSL", **{name: str(file)})
    assert settings.password == "first pass"
    file.write_text(" hunter2 \r\n")
    assert settings.password == " hunter2 "
    assert settings.secrets == (" hunter2 ",)
    assert "hunter2" not in repr(settings)
    assert str(file) in repr(settings)


@pytest.mark.parametrize("client", sorted(CLIENTS))
@pytest.mark.parametrize("name", ["SASL_PASSWORD_FILE", "SSL_KEY_PASSWORD_FILE"])
def test_a_password_file_that_is_not_there_is_named(name: str, client: ClientName, tmp_path: Path) -> None:
    settings = from_env(SECURITY_PROTOCOL="SASL_SSL", SASL_MECHANISM="PLAIN", **{name: str(tmp_path / "nowhere")})
    settings = KafkaSettings(**{**{n: getattr(settings, n) for n in settings.__slots__}, "client": client})
    with pytest.raises(ConfigurationError, match=rf"{name.lower()}: .*nowhere: No such file"):
        open_reader(settings)


def test_two_passwords_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="sasl_password and sasl_password_file are both set"):
        from_env(SECURITY_PROTOCOL="SASL_SSL", SASL_PASSWORD="hush", SASL_PASSWORD_FILE=str(tmp_path))


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"x" * 70_000])
def test_a_password_file_without_a_password_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "password").write_bytes(content)
    with pytest.raises(TelemetryError) as raised:
        _ = from_env(SECURITY_PROTOCOL="SASL_SSL", SASL_PASSWORD_FILE=str(tmp_path / "password")).password
    assert "xxxx" not in "".join(traceback.format_exception(raised.value))
