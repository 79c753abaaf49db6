"""A password that ended up in any option or variable of any command, whatever is wrong with it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cli.command_tree import commands, options_of
from tests.cli.in_process import run_command

SECRET = "hunter2marker"

COMMANDS: list[tuple[str, ...]] = [
    ("status",),
    ("status", "--connect"),
    ("send",),
    ("topics", "create"),
    ("consume",),
    ("replay", "--sink", "sqlite:///a.db"),
    ("replay", "--sink", "kafka://copy"),
    ("dlq", "list"),
    ("dlq", "redrive", "--sink", "sqlite:///a.db"),
]
SERVERS = st.sampled_from([
    "ann:{}@127.0.0.1:1",
    "{}@127.0.0.1:1",
    "SASL_SSL://ann:{}@127.0.0.1:1",
    "127.0.0.1:1,ann:{}@b:2",
    "127.0.0.1:{}",
    "ann:x@{}@127.0.0.1:1",
])  # fmt: skip
SINKS = st.sampled_from([
    "postgresql://me:{}@127.0.0.1:1/u",
    "postgresql://me:x@{}@127.0.0.1:1/u",
    "postgresql://me:1/{}@127.0.0.1:1/u",
    "postgresql://127.0.0.1:1/u?passwrod={}",
    "clickhouse://me:{}@127.0.0.1:1/u?secure=false",
    "clickhouse://me:1/x@{}",
    "delta+s3://me:{}@bucket/prefix",
    "delta+s3://bucket/prefix?key={}",
    "kafka://me:{}@topic",
    "nothing://me:{}@host",
    "me:{}@host",
])  # fmt: skip
VARIABLES = st.sampled_from([
    {"SASL_PASSWORD": "{}"},
    {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_PLAIN_PASSWORD": "{}"},
    {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "PLAIN", "SASL_USERNAME": "ann", "SASL_PASSWORD": "{}"},
    {"SECURITY_PROTOCOL": "SASL_PLAINTEXT", "SASL_MECHANISM": "NONE", "SASL_USERNAME": "a", "SASL_PASSWORD": "{}"},
    {"SECURITY_PROTOCOL": "SSL", "SSL_KEY_PASSWORD": "{}", "SSL_CERTFILE": "/nowhere"},
    {"SECURITY_PROTOCOL": "SSL", "SSL_KEY_PEM": "{}"},
    {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_OAUTHBEARER_CLIENT_SECRET": "{}"},
    {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_JAAS_CONFIG": 'Login required password="{}";'},
])  # fmt: skip
FEW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def said(folder: Path, caplog: pytest.LogCaptureFixture, *arguments: str, **environ: str) -> str:
    caplog.clear()
    with caplog.at_level(logging.DEBUG):
        done = run_command(
            *arguments, folder=folder, env={f"FLOWISE_TELEMETRY_{name}": text for name, text in environ.items()}
        )
    return done.stdout + done.stderr + caplog.text


@FEW
@given(command=st.sampled_from(COMMANDS), servers=SERVERS, padding=st.sampled_from(["", "@", "/", ",", "%40"]))
def test_in_the_servers(
    command: tuple[str, ...], servers: str, padding: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = servers.format(padding + SECRET)
    assert SECRET not in said(tmp_path, caplog, *command, BOOTSTRAP_SERVERS=text)


@FEW
@given(command=st.sampled_from(COMMANDS), variables=VARIABLES, client=st.sampled_from(["kafka-python", "librdkafka"]))
def test_in_a_setting_of_the_client(
    command: tuple[str, ...],
    variables: dict[str, str],
    client: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    environ = {f"KAFKA_{name}": text.replace("{}", SECRET) for name, text in variables.items()}
    environ |= {"BOOTSTRAP_SERVERS": "127.0.0.1:1", "CLIENT": client, "KAFKA_CONNECT_TIMEOUT_MS": "200"}
    command = ("status",) if command == ("send",) else command  # which waits for the broker
    assert SECRET not in said(tmp_path, caplog, *command, **environ)


def with_a_sink() -> list[str]:
    """Every command with an option that takes the URL of a sink."""
    return [
        f"{words} {option}"
        for words, command in commands()
        for option in ("--sink", "--source")
        if option in options_of(command)
    ]


@FEW
@given(command=st.sampled_from(with_a_sink()), url=SINKS, padding=st.sampled_from(["", "@", "/", "?", "#"]))
def test_in_the_url_of_a_sink(
    command: str, url: str, padding: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    arguments = [*command.split(" "), url.format(padding + SECRET)]
    assert SECRET not in said(
        tmp_path, caplog, *arguments, BOOTSTRAP_SERVERS="127.0.0.1:1", KAFKA_CONNECT_TIMEOUT_MS="200"
    )
