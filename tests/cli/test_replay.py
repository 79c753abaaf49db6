"""``replay`` as an operator runs it."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest

from flowise_telemetry_transport import OutgoingRecord, open_writer
from tests.cli.program import Finished, program
from tests.consumer.world import event_id, value_of
from tests.services.kafka import KafkaService

EVENTS = 60


class Operator:
    """A topic with some events and one dead letter, and a folder for sinks."""

    def __init__(self, kafka: KafkaService, folder: Path) -> None:
        self.folder = folder
        self.topic = kafka.new_topic()
        self.environ = {
            "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": ",".join(kafka.bootstrap_servers),
            "FLOWISE_TELEMETRY_TOPIC": self.topic,
        }
        writer = open_writer(kafka.settings())
        failures: list[object] = []
        for number in range(EVENTS):
            outgoing = OutgoingRecord(self.topic, event_id(number).encode(), value_of(number), partition=number % 2)
            writer.send(outgoing, lambda _, error: failures.append(error) if error else None)
        writer.send(OutgoingRecord(self.topic, b"bad", b"not one of ours", partition=0), lambda _, error: None)
        assert writer.flush(timeout_seconds=60) == 0
        writer.close(timeout_seconds=5)
        assert failures == []

    def run(self, *arguments: str, **variables: str) -> Finished:
        return program("replay", *arguments, folder=self.folder, env={**self.environ, **variables})

    def document(self, *arguments: str, **variables: str) -> dict[str, object]:
        done = self.run(*arguments, "--json", **variables)
        assert done.status == 0, done
        found: dict[str, object] = json.loads(done.stdout)
        return found


@pytest.fixture
def operator(kafka: KafkaService, tmp_path: Path) -> Operator:
    return Operator(kafka, tmp_path)


def test_the_reconciliation_is_shown_by_partition(operator: Operator) -> None:
    done = operator.run("--sink", "sqlite:///copy.db", "--event", "tool_created")
    assert (done.status, done.errors[0]) == (0, f"replaying {operator.topic} into sqlite:///copy.db")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert done.stdout.splitlines()[0].split("  ")[0] == "partition"
    assert lines[1:6] == [
        ["0", "31", "0", "0", "1", "30", "0", "0"],
        ["1", "30", "10", "0", "0", "20", "0", "0"],
        ["2", "0", "0", "0", "0", "0", "0", "0"],
        ["3", "0", "0", "0", "0", "0", "0", "0"],
        ["all", "61", "10", "0", "1", "50", "0", "0"],
    ]
    assert "unknown_framing      1" in done.stdout


def test_a_program_reads_the_same_as_json(operator: Operator) -> None:
    document = operator.document("--sink", "sqlite:///copy.db", "--partition", "0", "--from", "10", "--to", "20")
    partitions = document["partitions"]
    assert isinstance(partitions, dict)
    assert partitions == {
        "0": {
            "start": 10,
            "end": 20,
            "went_on_at": 10,
            "position": 20,
            "written": 10,
            "already_there": 0,
            "dead": 0,
            "filtered": 0,
            "gaps": 0,
            "missing": [],
        }
    }
    assert (document["adds_up"], document["complete"], document["resumed"]) == (True, True, False)


def test_replays_are_listed_and_a_finished_one_has_nothing_left(operator: Operator) -> None:
    run = operator.document("--sink", "sqlite:///copy.db")["replay"]
    assert isinstance(run, str)
    listed = operator.run("list", "--sink", "sqlite:///copy.db", "--json")
    (line,) = listed.stdout.splitlines()
    entry = json.loads(line)
    assert (entry["replay"], entry["state"], entry["offsets_read"], entry["offsets"]) == (run, "finished", 61, 61)
    assert run in operator.run("list", "--sink", "sqlite:///copy.db").stdout
    resumed = operator.run("resume", run, "--sink", "sqlite:///copy.db")
    assert (resumed.status, resumed.errors) == (0, [f"replay {run} is finished: nothing is left to do"])
    # Given before the command it counts, too.
    assert operator.run("--sink", "sqlite:///copy.db", "resume", run).errors == resumed.errors


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ((), 2, "Missing option '--sink'."),
        (("list",), 2, "Missing option '--sink'."),
        (("--sink", "nowhere://"), 2, "not the URL of a sink"),
        (("--sink", "sqlite:///a.db", "--from", "tomorrow"), 2, "--from 'tomorrow' is no bound: give an offset"),
        (("--sink", "sqlite:///a.db", "--from", "7", "--to", "3"), 2, "the range is empty: --from 7 is not before"),
        (("--sink", "sqlite:///a.db", "--from", "5000"), 2, "reaches offset 5000 (0: 31, 1: 30, 2: 0, 3: 0)"),
        (("--sink", "sqlite:///a.db", "--partition", "9"), 2, "has the partitions 0 to 3"),
        (("--sink", "sqlite:///a.db", "--event", "nothing"), 2, "no such event; there are: assistant_created"),
        (("--sink", "sqlite:///a.db", "--where", "toolName=x"), 2, "not a field that every event has"),
        (("--sink", "sqlite:///a.db", "--where", "sequence"), 2, "'sequence' is no FIELD=VALUE"),
        (("--sink", "sqlite:///a.db", "--shard", "5/4"), 2, "--shard '5/4': give number/count"),
        (("resume", "0123456789ab", "--sink", "sqlite:///a.db"), 1, "there is no such file"),
        (("list", "--sink", "sqlite:///a.db"), 1, "there is no such file"),
    ],
)
def test_misuse_is_one_line(operator: Operator, arguments: tuple[str, ...], status: int, said: str) -> None:
    done = operator.run(*arguments)
    assert (done.status, done.stdout) == (status, "")
    assert said in done.errors[-1]
    assert done.errors[-1].startswith("error: ")
    assert len(done.errors) <= 2


@pytest.mark.real_broker
def test_an_unknown_topic_is_named_with_the_mend(operator: Operator) -> None:
    missing = f"test-{uuid.uuid4().hex}"
    done = operator.run("--sink", "sqlite:///a.db", FLOWISE_TELEMETRY_TOPIC=missing)
    assert (done.status, done.stdout) == (1, "")
    assert done.errors == [f"error: topic {missing} does not exist: flowise-telemetry topics create makes it"]
    assert not (operator.folder / "a.db").exists()
