"""Every mistake of a user is one clear line on stderr with its exit status, never a traceback."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.cli.in_process import run_command
from tests.cli.program import program

pytestmark = pytest.mark.slow

NOBODY = "127.0.0.1:1"


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        (("consum",), 2, "No such command 'consum'"),
        (("consume", "--snk", "x"), 2, "No such option"),
        (("replay", "--bootstrap-servers", NOBODY), 2, "Missing option '--sink'"),
        (("consume", "--bootstrap-servers", "localhost"), 2, "has no port: write localhost:9092"),
        (("consume", "--bootstrap-servers", NOBODY, "--client", "other"), 2, "Invalid value for '--client'"),
        (("consume", "--bootstrap-servers", NOBODY, "--sink", "mysql://x"), 2, "sqlite:///"),
        (("consume", "--bootstrap-servers", NOBODY, "--http-address", "here"), 2, "write host:port, such as"),
        (("consume",), 2, "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS is not set"),
        (("consume", "--bootstrap-servers", NOBODY), 1, NOBODY),
        (("replay", "--bootstrap-servers", NOBODY, "--sink", "sqlite:///a.db"), 3, NOBODY),
        (("dlq", "list", "--bootstrap-servers", NOBODY), 1, NOBODY),
        (("topics", "create", "--bootstrap-servers", NOBODY), 1, NOBODY),
        (("send", "--bootstrap-servers", NOBODY), 1, NOBODY),
        (("send", "nothing-here.jsonl"), 2, "nothing-here.jsonl"),
        (("preview", "login"), 1, "no such event; there are: assistant_created,"),
        (("schemas", "show", "login"), 1, "no such event; there are: assistant_created,"),
        (("schemas", "show", "tool_created", "--version", "9"), 1, "tool_created has no version 9; the latest is 1"),
        (("schemas", "check", "nowhere"), 2, "'nowhere' does not exist"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, arguments: tuple[str, ...], status: int, line: str) -> None:
    begun = time.monotonic()
    done = run_command(*arguments, folder=tmp_path, env={"FLOWISE_TELEMETRY_KAFKA_CONNECT_TIMEOUT_MS": "1000"})
    assert time.monotonic() - begun < 30
    assert done.status == status, done
    assert done.stdout == ""
    errors = [error for error in done.errors if error.startswith("error: ")]
    assert len(errors) == 1
    assert line in errors[0]
    assert "Traceback" not in done.stderr


def test_an_error_is_one_json_object_too(tmp_path: Path) -> None:
    done = program(
        "consume", "--bootstrap-servers", NOBODY, "--log-format", "json", folder=tmp_path,
        env={"FLOWISE_TELEMETRY_KAFKA_CONNECT_TIMEOUT_MS": "500"},
    )  # fmt: skip
    assert (done.status, done.stdout) == (1, "")
    (line,) = map(json.loads, done.errors)
    assert line["level"] == "CRITICAL"
    assert NOBODY in line["message"]


def test_an_unwritable_sink_is_one_line(tmp_path: Path, embedded_servers: str) -> None:
    arguments = ("consume", "--bootstrap-servers", embedded_servers, "--sink", "sqlite:///no-such-folder/a.db")
    done = run_command(*arguments, folder=tmp_path)
    assert (done.status, done.stdout) == (1, "")
    assert done.errors[-1].startswith("error: sqlite:///no-such-folder/a.db cannot be opened")


@pytest.mark.parametrize(
    ("without", "arguments", "extra"),
    [
        ("polars", ("consume", "--bootstrap-servers", NOBODY), "consumer"),
        (
            "confluent_kafka",
            ("topics", "create", "--bootstrap-servers", NOBODY, "--client", "librdkafka"),
            "librdkafka",
        ),
        ("confluent_kafka", ("demo",), "librdkafka"),
        ("psycopg", ("consume", "--bootstrap-servers", NOBODY, "--sink", "postgresql://localhost/a"), "postgres"),
    ],
)
def test_a_missing_extra_is_named_with_its_command(
    tmp_path: Path, without: str, arguments: tuple[str, ...], extra: str
) -> None:
    done = program(*arguments, folder=tmp_path, without=without)
    assert (done.status, done.stdout) == (1, "")
    assert f"pip install 'flowise-telemetry[{extra}]'" in done.errors[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("without", "chosen", "said"),
    [
        (None, {}, "librdkafka refuses"),
        ("confluent_kafka", {}, "kafka-python does not know"),
        (None, {"FLOWISE_TELEMETRY_CLIENT": "kafka-python"}, "kafka-python does not know"),
    ],
)
def test_the_fastest_client_there_is(tmp_path: Path, without: str | None, chosen: dict[str, str], said: str) -> None:
    environ = {"FLOWISE_TELEMETRY_KAFKA_NO_SUCH": "1", **chosen}
    done = program("consume", "--bootstrap-servers", NOBODY, folder=tmp_path, without=without, env=environ)
    assert said in done.errors[-1]


def test_a_bug_of_ours_is_one_line_too(tmp_path: Path) -> None:
    done = program("schemas", "list", folder=tmp_path, without="fastavro.schema")
    assert done.status == 1
    (line,) = done.errors
    assert line.startswith("error: internal error: ")
    assert "FLOWISE_TELEMETRY_TRACEBACK=1" in line
