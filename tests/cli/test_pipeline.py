"""The commands one after the other, as an operator would run them."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from flowise_telemetry_schemas import event_to_json
from flowise_telemetry_transport import open_admin
from tests.cli.in_process import run_command
from tests.cli.program import Finished, start
from tests.schemas.records import EVENTS
from tests.services.kafka import KafkaService

LINES = b"".join(json.dumps(event_to_json(event)).encode() + b"\n" for event in EVENTS)
TOTALS = {
    "assistant_created": 1,
    "chatflow_created": 1,
    "prediction_sent": 1,
    "tool_created": 1,
    "vector_upserted": 2,
}


class Operator:
    """One topic, one folder, one environment."""

    def __init__(self, kafka: KafkaService, folder: Path, topic: str) -> None:
        self.folder = folder
        self.environ = {
            "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": ",".join(kafka.bootstrap_servers),
            "FLOWISE_TELEMETRY_TOPIC": topic,
            "FLOWISE_TELEMETRY_CONSUME_GROUP": kafka.new_group(),
        }

    def run(self, *arguments: str, stdin: bytes = b"", **variables: str) -> Finished:
        return run_command(*arguments, folder=self.folder, stdin=stdin, env={**self.environ, **variables})

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return start(*arguments, folder=self.folder, env=self.environ)

    def rows(self, database: str) -> dict[str, int]:
        connection = sqlite3.connect(self.folder / database)
        try:
            return {event: connection.execute(f"select count(*) from {event}").fetchone()[0] for event in TOTALS}
        finally:
            connection.close()


@pytest.fixture
def operator(kafka: KafkaService, tmp_path: Path) -> Operator:
    topic = kafka.new_topic()
    if not kafka.is_real:  # the mock cluster makes topics as they are asked for
        admin = open_admin(kafka.settings())
        admin.close()
    return Operator(kafka, tmp_path, topic)


def wait_until(condition: Callable[[], bool], *, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


@pytest.mark.real_broker
def test_topics_are_created_once(operator: Operator) -> None:
    operator.environ["FLOWISE_TELEMETRY_TOPIC"] = f"test-{uuid.uuid4().hex}"
    topic = operator.environ["FLOWISE_TELEMETRY_TOPIC"]
    first = operator.run("topics", "create", "--partitions", "2")
    assert first.stdout == f"{topic}: created, 2 partitions\n{topic}.dlq: created, 2 partitions\n"
    second = operator.run("topics", "create")
    assert (second.status, second.stdout) == (0, f"{topic}: exists\n{topic}.dlq: exists\n")


@pytest.mark.real_broker
def test_what_was_sent_is_consumed_replayed_and_its_dead_letters_listed(operator: Operator) -> None:
    operator.environ["FLOWISE_TELEMETRY_TOPIC"] = f"test-{uuid.uuid4().hex}"
    operator.run("topics", "create")
    sent = operator.run("send", stdin=LINES)
    assert (sent.status, sent.stdout) == (0, "sent 6, rejected 0, undelivered 0\n")

    service = operator.start("consume", "--sink", "sqlite:///live.db", "--json")
    wait_until((operator.folder / "live.db").exists)
    wait_until(lambda: _or_none(operator, "live.db") == TOTALS)
    service.send_signal(signal.SIGTERM)
    stdout, stderr = service.communicate(timeout=60)
    assert service.returncode == 0, stderr
    assert json.loads(stdout) == {"consumed": 6, "written": TOTALS, "duplicates": {}, "dead": {}}

    replayed = operator.run("replay", "--sink", "sqlite:///copy.db", "--json")
    document = json.loads(replayed.stdout)
    assert (replayed.status, document["complete"], document["written"]) == (0, True, TOTALS)
    assert sum(part["end"] for part in document["partitions"].values()) == 6
    assert operator.rows("copy.db") == TOTALS

    again = operator.run("replay", "--sink", "sqlite:///copy.db")
    assert again.status == 0
    assert operator.rows("copy.db") == TOTALS

    letters = operator.run("dlq", "list")
    assert (letters.status, letters.stdout) == (0, "")
    assert "0 dead letters in " in letters.stderr


@pytest.mark.real_broker
def test_a_service_tells_of_itself_in_json_and_over_http(operator: Operator) -> None:
    operator.environ["FLOWISE_TELEMETRY_TOPIC"] = f"test-{uuid.uuid4().hex}"
    operator.run("topics", "create")
    operator.run("send", stdin=LINES)
    service = operator.start(
        "consume", "--sink", "sqlite:///live.db", "--http-address", "127.0.0.1:0", "--log-format", "json"
    )
    assert service.stderr is not None
    lines: list[dict[str, str]] = []
    while not any(line["message"].startswith("serving ") for line in lines):
        lines.append(json.loads(service.stderr.readline()))
    address = lines[-1]["message"].removeprefix("serving ").partition("/metrics")[0]

    def metrics() -> str:
        with urllib.request.urlopen(f"{address}/metrics", timeout=60) as answer:
            return str(answer.read(), "utf-8")

    wait_until(lambda: "flowise_telemetry_consumer_records_consumed_total 6.0\n" in metrics())
    for path in ("/healthz", "/readyz"):
        with urllib.request.urlopen(address + path, timeout=60) as answer:
            assert answer.read() == b"ok\n"
    texts = [metrics()]
    service.send_signal(signal.SIGTERM)
    stdout, stderr = service.communicate(timeout=60)
    assert service.returncode == 0, stderr
    lines += map(json.loads, stderr.splitlines())
    for line in lines:
        assert {"time", "level", "logger", "message"} <= line.keys()
    assert any(line["message"].startswith("assigned: ") for line in lines)
    values = [value for event in EVENTS for value in _texts(event_to_json(event)["properties"])]
    assert len(values) > 10
    for text in (*texts, json.dumps(lines)):
        assert [value for value in values if value in text] == []
    assert "tool_created" in stdout


def _texts(value: object) -> list[str]:
    """The texts in an event that cannot be taken for anything else."""
    match value:
        case str():
            return [value] if len(value) > 8 else []
        case dict():
            return [text for inner in value.values() for text in _texts(inner)]
        case list():
            return [text for inner in value for text in _texts(inner)]
        case _:
            return []


def _or_none(operator: Operator, database: str) -> dict[str, int] | None:
    try:
        return operator.rows(database)
    except sqlite3.OperationalError:
        return None


def test_a_bad_line_is_named_and_the_good_ones_are_sent(operator: Operator) -> None:
    good = LINES.splitlines()
    tool = json.loads(good[3])
    tool["properties"]["toolName"] = "what is the capital of France"
    graph = json.loads(good[2])
    graph["properties"]["flowGraph"]["edges"][1]["source"] = "My secret label"
    lines = [
        good[0],
        json.dumps(tool).encode(),
        b"{not json",
        b"",
        json.dumps(graph).encode(),
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"event": "tool_created", "properties": {"toolName": NaN, "toolId": "x", "version": "3.0.1"}}',
        good[1],
    ]
    done = operator.run("send", stdin=b"\n".join(lines))
    assert (done.status, done.stdout) == (1, "sent 2, rejected 6, undelivered 0\n")
    assert [line.partition(" must match")[0] for line in done.errors] == [
        "line 2: tool_created: toolName:",
        "line 3: not JSON at column 2",
        "line 5: prediction_sent: flowGraph.edges[1].source:",
        "line 6: not JSON",
        "line 7: not JSON",
        "line 8: tool_created: toolId:",
    ]
    assert "capital" not in done.stderr
    assert "label" not in done.stderr


def test_a_line_without_a_version_needs_the_option(operator: Operator) -> None:
    line = b'{"event": "tool_created", "properties": {"toolName": "a", "toolId": "%s"}}' % str(uuid.uuid4()).encode()
    refused = operator.run("send", stdin=line)
    assert (refused.status, refused.errors) == (
        1,
        ["line 1: tool_created: version: is missing (or give --app-version)"],
    )
    sent = operator.run("send", "--app-version", "3.0.1", "--json", stdin=line)
    assert (sent.status, json.loads(sent.stdout)) == (0, {"sent": 1, "rejected": 0, "undelivered": 0})


def test_a_line_of_many_megabytes_is_refused_and_the_next_one_is_sent(operator: Operator) -> None:
    done = operator.run("send", stdin=b'{"event": "' + b"x" * 5_000_000 + b'"}\n' + LINES)
    assert (done.status, done.errors) == (1, ["line 1: longer than 1048576 bytes"])
    assert done.stdout == "sent 6, rejected 1, undelivered 0\n"


def test_off_sends_nothing_and_says_so(operator: Operator) -> None:
    done = operator.run("send", stdin=LINES, DO_NOT_TRACK="1")
    assert (done.status, done.stdout) == (3, "")
    assert done.errors == ["error: telemetry is off (DO_NOT_TRACK in the environment): nothing was sent"]


def test_the_ledger_shows_what_was_sent_and_where_it_landed(operator: Operator) -> None:
    operator.environ["FLOWISE_TELEMETRY_LOG"] = "ledger"
    assert operator.run("log").errors == ["error: ledger cannot be read: no ledger there"]
    operator.run("send", stdin=LINES)
    shown = operator.run("log", "--json", "--last", "3")
    entries = [json.loads(line) for line in shown.stdout.splitlines()]
    assert len(entries) == 3
    assert {entry["topic"] for entry in entries} == {operator.environ["FLOWISE_TELEMETRY_TOPIC"]}
    assert all(entry["record"]["eventId"] == entry["event_id"] for entry in entries)
    assert operator.run("log").stdout.count("\n") == 6


def test_the_demo_sends_writes_and_dead_letters(tmp_path: Path) -> None:
    done = run_command("demo", "--events", "500", folder=tmp_path, env={"DISABLE_FLOWISE_TELEMETRY": "true"})
    assert done.status == 0, done
    table = {line.split("  ")[0].strip(): line.split()[-3:] for line in done.stdout.splitlines()[1:8]}
    assert table["all"] == ["507", "500", "7"]
    connection = sqlite3.connect(tmp_path / ".demo" / "telemetry.db")
    counts = [connection.execute(f"select count(*) from {event}").fetchone()[0] for event in TOTALS]
    connection.close()
    assert sum(counts) == 500
    assert all(counts)
    assert not (tmp_path / "config").exists(), "the demo leaves nothing outside its folder"


@pytest.mark.real_broker
def test_a_topic_that_is_not_there_is_named_with_the_mend(operator: Operator) -> None:
    missing = f"test-{uuid.uuid4().hex}"
    done = operator.run("consume", "--topic", missing)
    assert (done.status, done.stdout) == (1, "")
    assert done.errors == [f"error: topic {missing} does not exist: create it with flowise-telemetry topics create"]
