"""The worked example of docs/dead-letters.md, command for command, and ``dlq`` as an operator runs it."""

from __future__ import annotations

import base64
import json
import re
import shlex
import threading
from pathlib import Path

import pytest

from flowise_telemetry_consumer import Consumer, ConsumerSettings, open_dead_letter_writer
from flowise_telemetry_schemas import Catalog, catalog
from flowise_telemetry_transport import OutgoingRecord, open_reader, open_writer
from tests.cli.in_process import run_command
from tests.cli.program import Finished
from tests.consumer.service.running import wait_until
from tests.consumer.sinks.roles import open_readable
from tests.consumer.world import event_id, value_of
from tests.services.kafka import KafkaService

GUIDE = Path(__file__).parents[3] / "docs" / "dead-letters.md"
EVENTS = 60
TOOLS = 10
SECRET = b"my-secret-text"


class Operator:
    """A topic with events of which the service of an older release did not know ``tool_created``."""

    def __init__(self, kafka: KafkaService, folder: Path) -> None:
        self.folder = folder
        self.topic, self.dlq = kafka.new_topic(), kafka.new_topic()
        self.environ = {
            "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": ",".join(kafka.bootstrap_servers),
            "FLOWISE_TELEMETRY_TOPIC": self.topic,
        }
        for command in ("LIST", "SHOW", "REDRIVE", "EXPORT", "DISCARD", "RESTORE"):
            self.environ[f"FLOWISE_TELEMETRY_DLQ_{command}_DEAD_LETTER_TOPIC"] = self.dlq
        self.broker_is_real = kafka.is_real
        self.group = kafka.new_group()
        self._kafka = kafka
        self.send([value_of(number) for number in range(EVENTS)])
        self.consume_with_the_older_release(EVENTS)

    def send(self, values: list[bytes]) -> None:
        writer = open_writer(self._kafka.settings())
        for number, value in enumerate(values):
            headers = ((SECRET.decode(), SECRET),) if SECRET in value else ()
            outgoing = OutgoingRecord(self.topic, event_id(number).encode(), value, headers)
            writer.send(outgoing, lambda delivery, error: None)
        assert writer.flush(timeout_seconds=60) == 0
        writer.close(timeout_seconds=5)

    def consume_with_the_older_release(self, count: int) -> None:
        settings = self._kafka.settings()
        older = Catalog(tuple(schema for schema in catalog() if schema.event != "tool_created"))
        reader, writer = open_reader(settings, group=self.group), open_dead_letter_writer(settings)
        sink = open_readable(f"sqlite:///{self.folder / 'telemetry.db'}")
        consumer = Consumer(
            reader,
            sink,
            writer,
            older,
            ConsumerSettings(topic=self.topic, dead_letter_topic=self.dlq, group=self.group),
        )
        stop = threading.Event()

        def watch() -> None:
            wait_until(lambda: consumer.counters.consumed >= count, "all consumed")
            stop.set()

        watching = threading.Thread(target=watch)
        watching.start()
        consumer.run(stop)
        watching.join()
        sink.close()
        reader.close(timeout_seconds=5)
        writer.close(timeout_seconds=5)

    def run(self, *arguments: str) -> Finished:
        return run_command(*arguments, folder=self.folder, env=self.environ)

    def rows(self) -> dict[str, int]:
        sink = open_readable(f"sqlite:///{self.folder / 'telemetry.db'}")
        counts = sink.counts()
        sink.close()
        return counts


@pytest.fixture
def operator(kafka: KafkaService, tmp_path: Path) -> Operator:
    return Operator(kafka, tmp_path)


def examples() -> list[tuple[list[str], str]]:
    """The commands of the guide's worked example and what it shows them to print."""
    (block,) = re.findall(r"<!-- worked example -->.*?```console\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.S)
    found = []
    for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
        command, _, output = part.partition("\n")
        found.append((shlex.split(command), output))
    return found


@pytest.mark.real_broker
def test_the_worked_example_of_the_guide_does_what_it_shows(operator: Operator) -> None:
    assert "tool_created" not in operator.rows()
    commands = examples()
    assert [words[:3] for words, _ in commands] == [
        ["flowise-telemetry", "dlq", "list"],
        ["flowise-telemetry", "dlq", "redrive"],
        ["flowise-telemetry", "dlq", "redrive"],
        ["flowise-telemetry", "dlq", "list"],
    ]
    for words, output in commands:
        done = operator.run(*words[1:])
        assert (done.status, done.stdout) == (0, output), done
    assert operator.rows()["tool_created"] == TOOLS
    assert sum(operator.rows().values()) == EVENTS


def test_the_list_counts_by_what_is_asked_for(operator: Operator) -> None:
    by_hour = operator.run("dlq", "list", "--by", "hour", "--json")
    lines = [json.loads(line) for line in by_hour.stdout.splitlines()]
    assert sum(line["count"] for line in lines) == TOOLS
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d", line["hour"]) for line in lines)
    assert by_hour.errors[0] == f"{TOOLS} dead letters in {operator.dlq}"
    if operator.broker_is_real:
        assert re.fullmatch(r"the oldest is from .*Z; retention left: [67]\.\d of 7\.0 days", by_hour.errors[1])


def test_values_are_shown_to_who_asks_for_them_only(operator: Operator) -> None:
    value = value_of(3)
    operator.send([value + SECRET, b"x" + SECRET])
    operator.consume_with_the_older_release(2)
    shown = operator.run("dlq", "show", "--max", "100")
    assert shown.status == 0
    assert SECRET.decode() not in shown.stdout
    assert SECRET.hex(" ")[:20] not in shown.stdout
    paragraphs = shown.stdout.split("\n\n")
    cut = next(text for text in paragraphs if "14 bytes follow the record" in text)
    assert f"value:     {len(value) + len(SECRET)} bytes" in cut
    assert "decoded as tool_created v1:\n  eventId: bytes 10 to 46" in cut
    assert "header:    14 characters: 14 bytes" in cut
    open_shown = operator.run("dlq", "show", "--max", "100", "--values").stdout
    assert f"header:    {SECRET.decode()}: 14 bytes {SECRET!r}" in open_shown
    assert "toolName: bytes" in open_shown
    assert "'get_current_datetime'" in open_shown
    assert operator.run("dlq", "show", "--reason", "empty").errors == [f"no such dead letters in {operator.dlq}"]


def test_letters_are_exported_with_their_bytes(operator: Operator) -> None:
    done = operator.run("dlq", "export", "--output", "letters.jsonl", "--max", "4")
    assert (done.status, done.errors) == (0, [f"4 dead letters of {operator.dlq} exported"])
    letters = [json.loads(line) for line in (operator.folder / "letters.jsonl").read_text().splitlines()]
    values = {value_of(number) for number in range(EVENTS)}
    assert len(letters) == 4
    assert all(base64.b64decode(letter["value"]) in values for letter in letters)
    assert {letter["source"]["topic"] for letter in letters} == {operator.topic}
    assert operator.run("dlq", "export").stdout.count("\n") == TOOLS


def test_what_is_still_bad_is_told_by_the_exit_status(operator: Operator) -> None:
    operator.send([b"not one of ours"])
    operator.consume_with_the_older_release(1)
    done = operator.run("dlq", "redrive", "--sink", "sqlite:///telemetry.db", "--json")
    document = json.loads(done.stdout)
    assert (done.status, document["written"], document["still_bad"]) == (
        3,
        {"tool_created": TOOLS},
        {"unknown_framing": 1},
    )
    assert operator.rows()["tool_created"] == TOOLS


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("redrive",), 2, "Missing option '--sink' (or --dry-run)."),
        (("redrive", "--sink", "nowhere"), 2, "not the URL of a sink"),
        (("list", "--by", "colour"), 2, "'colour' is not one of"),
    ],
)
def test_misuse_is_one_line(tmp_path: Path, arguments: tuple[str, ...], status: int, said: str) -> None:
    environ = {"FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    done = run_command("dlq", *arguments, folder=tmp_path, env=environ)
    assert (done.status, done.stdout) == (status, "")
    assert len(done.errors) == 1
    assert said in done.errors[0]


@pytest.mark.real_broker
def test_a_dead_letter_topic_that_is_missing_is_named_and_no_sink_is_made(operator: Operator) -> None:
    for command in (("list",), ("show",), ("export",), ("redrive", "--sink", "sqlite:///new.db")):
        done = operator.run("dlq", *command, "--dead-letter-topic", "of-nobody")
        assert (done.status, len(done.errors)) == (1, 1)
        assert "topic of-nobody does not exist" in done.errors[0]
    assert not (operator.folder / "new.db").exists()


@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_a_redrive_into_the_wrong_sink_is_taken_back(operator: Operator, client: str) -> None:
    def dlq(*arguments: str) -> Finished:
        return operator.run("dlq", *arguments, "--client", client)

    refused = dlq("redrive", "--sink", "sqlite:///typo.db")
    assert (refused.status, refused.stdout, (operator.folder / "typo.db").exists()) == (2, "", False)
    assert "error: --new-sink: sqlite:///typo.db does not know the group" in refused.errors[-1]
    assert dlq("redrive", "--sink", "sqlite:///typo.db", "--new-sink").status == 0
    assert dlq("redrive", "--sink", "sqlite:///telemetry.db").status == 0
    assert not operator.rows().get("tool_created")  # nothing was left for the right one
    restored = dlq("restore", "--ended-since", "1h ago", "--json")
    assert json.loads(restored.stdout)["restored"] == {"unknown_fingerprint": TOOLS}
    assert dlq("redrive", "--sink", "sqlite:///telemetry.db").status == 0
    assert operator.rows()["tool_created"] == TOOLS
    operator.send([b"not one of ours"])
    operator.consume_with_the_older_release(1)
    assert dlq("discard", "--reason", "unknown_framing").status == 0
    assert dlq("list").errors[0].startswith(f"0 dead letters in {operator.dlq}, {TOOLS} redriven, 1 discarded")
