"""A ``.env`` in the working directory is anyone's who can write there; what it may set, and what it never touches."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowise_telemetry import ConfigurationError, Telemetry
from flowise_telemetry.consent.status import status
from flowise_telemetry.consent.stored_choice import store_choice
from flowise_telemetry.settings import ProducerSettings
from flowise_telemetry_transport import KafkaSettings

K = "FLOWISE_TELEMETRY_KAFKA_"
CONNECTION = {
    "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": "theirs:9092",
    "FLOWISE_TELEMETRY_CLIENT": "librdkafka",
    "FLOWISE_TELEMETRY_SCHEMA_REGISTRY_URL": "http://theirs",
    "FLOWISE_TELEMETRY_ENDPOINT": "https://theirs",
    "FLOWISE_TELEMETRY_PROJECT_KEY": "their-key",
    f"{K}METADATA_BROKER_LIST": "theirs:9092",
    f"{K}metadata.broker.list": "theirs:9092",
    f"{K}PLUGIN_LIBRARY_PATHS": "theirs.so",
    f"{K}SSL_ENGINE_LOCATION": "theirs.so",
    f"{K}ENABLE_SSL_CERTIFICATE_VERIFICATION": "false",
    f"{K}SASL_PASSWORD": "theirs",
    f"{K}SSL_CAFILE": "theirs.pem",
}
FOLDERS = ["FLOWISE_TELEMETRY_SPOOL_DIR", "FLOWISE_TELEMETRY_LOG", "FLOWISE_TELEMETRY_CONFIG_DIR"]
VERIFICATION = {
    f"{K}ENABLE_SSL_CERTIFICATE_VERIFICATION": "false",
    f"{K}enable.ssl.certificate.verification": "0",
    f"{K}enable-ssl-certificate-verification": "no",
    f"{K}SSL_CHECK_HOSTNAME": "no",
    f"{K}SSL_ENDPOINT_IDENTIFICATION_ALGORITHM": "none",
}


def write(folder: Path, values: dict[str, str], name: str = ".env") -> Path:
    file = folder / name
    file.write_text("".join(f"{key}={text}\n" for key, text in values.items()))
    return file


def settings_of(
    environ: dict[str, str], env_file: Path | None = None, bootstrap_servers: str | None = None
) -> ProducerSettings:
    telemetry = Telemetry(
        app_version="3.0.1",
        environ=environ,
        env_file=env_file,
        bootstrap_servers=bootstrap_servers,
        first_run_notice=False,
    )
    try:
        return telemetry._settings
    finally:
        telemetry.close(timeout_seconds=0.1)


@pytest.mark.parametrize("named_by", ["environment", "argument"])
@pytest.mark.parametrize("name", CONNECTION)
def test_it_touches_no_connection_that_is_named_elsewhere(
    name: str, named_by: str, environ: dict[str, str], working_directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(working_directory, {name: CONNECTION[name]})
    if named_by == "argument":
        found = settings_of(environ, bootstrap_servers="ours:9092")
    else:
        found = settings_of({**environ, "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": "ours:9092"})
    assert (found.bootstrap_servers, found.passed_over) == ("ours:9092", (name,))
    assert KafkaSettings.from_env(found.connection) == KafkaSettings(bootstrap_servers=("ours:9092",))
    assert name not in found.connection or found.connection[name] == "ours:9092"
    assert [record.levelname for record in caplog.records if name in record.getMessage()] == ["WARNING"]


def test_status_says_what_was_passed_over(environ: dict[str, str], working_directory: Path) -> None:
    write(working_directory, {**CONNECTION, "FLOWISE_TELEMETRY_SPOOL_DIR": "theirs"})
    found = status(environ={**environ, "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": "ours:9092"})
    assert set(found.passed_over) == {*CONNECTION, "FLOWISE_TELEMETRY_SPOOL_DIR"}


def test_what_it_repeats_is_not_passed_over(environ: dict[str, str], working_directory: Path) -> None:
    # docker compose fills the environment from the same file.
    write(working_directory, {"FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": "ours:9092"})
    assert status(environ={**environ, "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": "ours:9092"}).passed_over == ()


def test_where_it_names_the_connection_its_client_settings_hold(
    environ: dict[str, str], working_directory: Path
) -> None:
    write(
        working_directory,
        {
            "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": "one:9092",
            f"{K}SECURITY_PROTOCOL": "SASL_SSL",
            f"{K}SASL_MECHANISM": "PLAIN",
            f"{K}SASL_PASSWORD": "hush",
            f"{K}LINGER_MS": "7",
        },
    )
    kafka = KafkaSettings.from_env(settings_of(environ).connection)
    assert (kafka.sasl_password, kafka.security_protocol, kafka.options) == ("hush", "SASL_SSL", {"linger_ms": "7"})


@pytest.mark.parametrize("name", FOLDERS)
def test_it_names_no_folder_to_write_to(name: str, environ: dict[str, str], working_directory: Path) -> None:
    del environ["FLOWISE_TELEMETRY_CONFIG_DIR"]
    environ["HOME"] = str(working_directory / "home")
    values = {"FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": "127.0.0.1:1", name: str(working_directory / "theirs")}
    file = write(working_directory, values)
    found = settings_of(environ)
    assert found.passed_over == (name,)
    assert name not in found.environ
    store_choice(False, environ=environ)
    assert not (working_directory / "theirs").exists()
    # Named by the program, or in the environment, it holds.
    store_choice(True, environ=environ)
    assert settings_of({**environ, name: "ours"}).environ[name] == "ours"
    assert settings_of(environ, env_file=file).environ[name] == str(working_directory / "theirs")


def test_an_opt_out_that_an_earlier_release_stored_where_it_says_still_counts(
    environ: dict[str, str], working_directory: Path
) -> None:
    theirs = working_directory / "theirs"
    store_choice(False, environ={"FLOWISE_TELEMETRY_CONFIG_DIR": str(theirs)})
    write(working_directory, {"FLOWISE_TELEMETRY_CONFIG_DIR": str(theirs)})
    assert not status(environ=environ).enabled
    store_choice(True, environ={"FLOWISE_TELEMETRY_CONFIG_DIR": str(theirs)})
    assert status(environ=environ).decided_by == "the default"


@pytest.mark.parametrize("name", VERIFICATION)
def test_it_turns_no_verification_off(name: str, environ: dict[str, str], working_directory: Path) -> None:
    values = {"FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": "theirs:9092", f"{K}SECURITY_PROTOCOL": "SSL"}
    file = write(working_directory, {**values, name: VERIFICATION[name]})
    assert KafkaSettings.from_env(settings_of(environ).connection).options == {}
    assert KafkaSettings.from_env(settings_of(environ, env_file=file).connection).options
    write(working_directory, {**values, f"{K}SSL_CHECK_HOSTNAME": "true"})
    assert KafkaSettings.from_env(settings_of(environ).connection).options == {"ssl_check_hostname": "true"}


@pytest.mark.parametrize(
    "name",
    [
        f"{K}SASL_PASSWORD_FILE",
        f"{K}SASL_PLAIN_PASSWORD_FILE",
        f"{K}sasl-plain.password_file",
        f"{K}SASL_OAUTHBEARER_ASSERTION_FILE",
    ],
)
def test_it_names_no_file_whose_content_would_be_sent(
    name: str, environ: dict[str, str], working_directory: Path
) -> None:
    values = {
        "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": "theirs:9092",
        f"{K}SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        f"{K}SASL_MECHANISM": "PLAIN",
        name: "/home/ann/.netrc",
    }
    file = write(working_directory, values)
    found = settings_of(environ)
    assert found.passed_over == (name,)
    assert "/home/ann/.netrc" not in repr(KafkaSettings.from_env(found.connection))
    assert "/home/ann/.netrc" in repr(KafkaSettings.from_env(settings_of(environ, env_file=file).connection))


@pytest.mark.parametrize("source", ["found", "named", "environment"])
def test_code_is_chosen_by_arguments_alone(
    source: str, environ: dict[str, str], working_directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    values = {"FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": "127.0.0.1:1", f"{K}PLUGIN_LIBRARY_PATHS": "theirs.so"}
    file = write(working_directory, values) if source != "environment" else None
    if source == "environment":
        environ |= values
    env_file = file if source == "named" else None
    with pytest.raises(ConfigurationError, match=f"{K}PLUGIN_LIBRARY_PATHS loads code"):
        Telemetry(app_version="3.0.1", environ=environ, env_file=env_file, strict=True)
    given = Telemetry(
        app_version="3.0.1",
        environ={**environ, "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": "127.0.0.1:1", f"{K}PLUGIN_LIBRARY_PATHS": ""},
        kafka={"plugin.library.paths": "ours.so", "client_id": "x"},
        first_run_notice=False,
    )
    assert given._settings.given["plugin.library.paths"] == "ours.so"
    given.close(timeout_seconds=0.1)
