"""``replay`` as an operator runs it."""

from __future__ import annotations

import json
import socket
import uuid
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are not worth a dependency

from flowise_telemetry_consumer import list_runs
from flowise_telemetry_consumer.replay.checkpoints import keep_missing
from flowise_telemetry_transport import EmbeddedBroker, OutgoingRecord, TopicPartition, open_writer
from tests.cli.in_process import run_command
from tests.cli.program import Finished
from tests.consumer.sinks.roles import open_claimed
from tests.consumer.tcp_door import TcpDoor
from tests.consumer.world import event_id, value_of
from tests.services.kafka import KafkaService

EVENTS = 60
JOB = Path(__file__).parents[3] / "deploy" / "kubernetes" / "replay" / "job.yaml"


class Operator:
    """A topic with some events and one dead letter, and a folder for sinks."""

    def __init__(self, kafka: KafkaService, folder: Path) -> None:
        self.folder = folder
        self.is_real = kafka.is_real
        self.new_topic = kafka.new_topic
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
        return run_command("replay", *arguments, folder=self.folder, env={**self.environ, **variables})

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
            "resumed_at": 10,
            "position": 20,
            "written": 10,
            "already_there": 0,
            "erased": 0,
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
        (
            ("--sink", "sqlite:///a.db", "--from", "tomorrow"),
            2,
            "error: --from: 'tomorrow' is not a bound: give an offset",
        ),
        (
            ("--sink", "sqlite:///a.db", "--from", "7", "--to", "3"),
            2,
            "error: --from: the range is empty: 7 is not before 3",
        ),
        (("--sink", "sqlite:///a.db", "--from", "5000"), 2, "reaches offset 5000 (0: 31, 1: 30, 2: 0, 3: 0)"),
        (("--sink", "sqlite:///a.db", "--partition", "9"), 2, "has the partitions 0 to 3"),
        (
            ("--sink", "sqlite:///a.db", "--event", "nothing"),
            2,
            "error: --event: there is no event nothing; there are: assistant_created",
        ),
        (("--sink", "sqlite:///a.db", "--where", "toolName=x"), 2, "not a field that every event has"),
        (("--sink", "sqlite:///a.db", "--where", "sequence"), 2, "'sequence' is not of the form FIELD=VALUE"),
        (("--sink", "sqlite:///a.db", "--shard", "5/4"), 2, "error: --shard: '5/4' is not a shard: give number/count"),
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
    assert done.errors == [f"error: topic {missing} does not exist: create it with flowise-telemetry topics create"]
    assert not (operator.folder / "a.db").exists()


def counts(operator: Operator, url: str) -> int:
    sink = open_claimed(url.replace(":///", f":///{operator.folder}/"))
    total = sum(sink.counts().values())
    sink.close()
    return total


def test_stdout_is_for_the_events_alone_where_they_are_printed(operator: Operator) -> None:
    for options in ((), ("--json",)):
        done = operator.run("--sink", "jsonl:-", *options)
        assert done.status == 0, done
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(lines) == EVENTS
        assert not any("adds_up" in line for line in lines)
    assert json.loads(done.errors[-1])["adds_up"]
    operator.document("--sink", "sqlite:///copy.db")
    archive = operator.run("--source", "sqlite:///copy.db", "--sink", "jsonl:-", "--json")
    assert len(archive.stdout.splitlines()) == EVENTS
    assert json.loads(archive.errors[-1])["adds_up"]


def test_a_dry_run_makes_no_sink(operator: Operator) -> None:
    done = operator.run("--sink", "sqlite:///copy.db", "--dry-run")
    assert done.status == 0
    assert "nothing was changed" in done.errors[-1]
    assert "unknown_framing      1" in done.stdout
    assert not (operator.folder / "copy.db").exists()
    document = operator.document("--sink", "sqlite:///copy.db", "--dry-run")
    assert (document["incomplete"], "no such file" in str(document["sink_error"])) == (None, True)
    assert document["events"] == dict.fromkeys(("assistant_created", "chatflow_created", "prediction_sent"), 10) | {
        "tool_created": 10,
        "vector_upserted": 20,
    }


@pytest.mark.parametrize("scheme", ["sqlite", "delta"])
def test_workers_share_the_partitions(operator: Operator, scheme: str) -> None:
    document = operator.document("--sink", f"{scheme}:///copy", "--workers", "2")
    assert (document["adds_up"], document["complete"]) == (True, True)
    partitions = document["partitions"]
    assert isinstance(partitions, dict)
    assert [(part["written"], part["dead"]) for part in partitions.values()] == [(30, 1), (30, 0), (0, 0), (0, 0)]
    assert counts(operator, f"{scheme}:///copy") == EVENTS
    assert "finished" in operator.run("list", "--sink", f"{scheme}:///copy").stdout


def test_staging_tables_are_filled_and_promoted(operator: Operator) -> None:
    operator.document("--sink", "sqlite:///live.db", "--event", "tool_created")
    operator.document("--sink", "sqlite:///live.db", "--staging", "whole")
    assert counts(operator, "sqlite:///live.db") == 10
    swapped = operator.run("promote", "whole", "--sink", "sqlite:///live.db")
    assert (swapped.status, swapped.errors) == (
        0,
        ["sqlite:///live.db: promoted whole, which now holds the tables that were live before"],
    )
    assert counts(operator, "sqlite:///live.db") == EVENTS
    # The name holds what was live: no place for the next layout.
    again = operator.run("--sink", "sqlite:///live.db", "--staging", "whole")
    assert (again.status, again.stdout) == (2, "")
    assert again.errors[-1].startswith("error: --staging: sqlite:///live.db (beside: whole) holds 10 rows that are not")
    assert again.errors[-1].endswith(" alone: drop its tables, or take another name")
    planned = operator.run("--sink", "sqlite:///live.db", "--staging", "whole", "--dry-run")
    assert (planned.status, planned.stdout, planned.errors[-1]) == (2, "", again.errors[-1])
    operator.document("--sink", "delta:///archive")
    archived = ("--source", "delta:///archive", "--sink", "sqlite:///live.db", "--staging")
    refused = operator.run(*archived, "whole")
    assert (refused.status, refused.stdout) == (2, "")
    assert "holds 10 rows that are not from an archive: drop its tables" in refused.errors[-1]
    for _ in range(2):  # killed, it would begin again
        operator.document(*archived, "fresh")
    unknown = operator.run("promote", "nothing", "--sink", "sqlite:///live.db")
    assert (unknown.status, len(unknown.errors)) == (1, 1)


def test_unfinished_staging_is_promoted_by_force_alone(operator: Operator) -> None:
    operator.document("--sink", "sqlite:///live.db")
    operator.run("--sink", "sqlite:///live.db", "--staging", "part", "--shard", "1/4")
    promote = ("promote", "part", "--sink", "sqlite:///live.db")
    refused = operator.run(*promote)
    assert (refused.status, refused.stdout) == (1, "")
    (said,) = refused.errors
    assert said.startswith("error: --force: sqlite:///live.db (beside: part) is unfinished: shards 2, 3, 4 of 4 of")
    assert counts(operator, "sqlite:///live.db") == EVENTS
    assert operator.run(*promote, "--force").status == 0
    assert counts(operator, "sqlite:///live.db") < EVENTS


def test_an_archive_and_a_copy_of_the_topic_hold_the_same(operator: Operator) -> None:
    operator.document("--sink", "delta:///archive")
    document = operator.document("--source", "delta:///archive", "--sink", "sqlite:///from.db")
    assert document["adds_up"]
    assert counts(operator, "sqlite:///from.db") == EVENTS
    for source in ((), ("--source", "delta:///archive")):
        topic = operator.new_topic()
        operator.document(*source, "--sink", f"kafka://{topic}")
        copied = operator.document("--topic", topic, "--sink", f"sqlite:///{topic}.db")
        assert counts(operator, f"sqlite:///{topic}.db") == EVENTS
        assert copied["dead"] == ({} if source else {"unknown_framing": 1})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("--sink", "duckdb:///a", "--workers", "2"),
            "--workers: a duckdb sink takes one process at a time, not 2: use one worker",
        ),
        (
            ("--sink", "jsonl:-", "--workers", "2"),
            "--workers: a jsonl sink takes one process at a time, not 2: use one worker",
        ),
        (("--sink", "sqlite:///a.db", "--shard-count", "4"), "needs JOB_COMPLETION_INDEX from 0 to 3; it is not set"),
        (("--sink", "kafka://a/b"), "the URL of a topic is kafka://topic"),
        (
            ("--sink", "kafka://a", "--dry-run"),
            "--dry-run, --staging and --workers do not apply to a sink that is a topic",
        ),
        (("--sink", "sqlite:///a.db", "--source", "sqlite:///a.db"), "--source and --sink are both sqlite:///a.db"),
        (("--sink", "sqlite:///a.db", "--source", "sqlite:///b.db", "--from", "5"), "an archive has no offsets"),
        (("--sink", "sqlite:///a.db", "--source", "sqlite:///b.db", "--workers", "2"), "an archive has no partitions"),
        (("--sink", "sqlite:///a.db", "--staging", "No Name"), "name"),
    ],
)
def test_what_does_not_go_together_is_one_line(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    environ = {"FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    done = run_command("replay", *arguments, folder=tmp_path, env=environ)
    assert (done.status, done.stdout, len(done.errors)) == (2, "", 1)
    assert said in done.errors[0]


def test_a_topic_is_not_copied_onto_itself(operator: Operator) -> None:
    done = operator.run("--sink", f"kafka://{operator.topic}")
    assert (done.status, len(done.errors)) == (2, 1)
    assert "is the topic itself" in done.errors[0]


@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_a_topic_is_not_copied_onto_itself_by_another_address(operator: Operator, client: str) -> None:
    host, _, port = operator.environ["FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS"].partition(",")[0].rpartition(":")
    door = TcpDoor(lambda: socket.create_connection((host, int(port))))
    onto = ("--sink", f"kafka://{operator.topic}", "--sink-bootstrap-servers")
    done = operator.run(*onto, f"127.0.0.1:{door.port}", "--client", client)
    door.shut()
    assert (done.status, done.stdout, len(done.errors)) == (2, "", 1)
    assert done.errors[0].startswith("error: --sink: ")
    assert f"topic {operator.topic} would be copied onto itself" in done.errors[0]
    plan = json.loads(operator.run("--sink", "sqlite:///copy.db", "--dry-run", "--json").stdout)
    assert sum(part["records"] for part in plan["partitions"].values()) == EVENTS + 1
    with EmbeddedBroker() as elsewhere:
        elsewhere.ensure_topic(operator.topic)
        # The mock cluster answers no question about a topic's settings.
        timeouts = {
            "FLOWISE_TELEMETRY_KAFKA_SESSION_TIMEOUT_MS": "2000",
            "FLOWISE_TELEMETRY_KAFKA_REQUEST_TIMEOUT_MS": "3000",
        }
        operator.document(*onto, elsewhere.bootstrap_servers[0], "--client", client, **timeouts)


def test_the_pods_of_the_kubernetes_job_write_everything_together(operator: Operator) -> None:
    (job,) = yaml.safe_load_all(JOB.read_text(encoding="utf-8"))
    assert (job["kind"], job["spec"]["completionMode"]) == ("Job", "Indexed")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    (rule, _) = job["spec"]["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"]["containerName"] == container["name"]
    variables = {entry["name"]: entry.get("value", "") for entry in container["env"]}
    pods = job["spec"]["completions"]
    assert (job["spec"]["parallelism"], variables["FLOWISE_TELEMETRY_REPLAY_SHARD_COUNT"]) == (pods, str(pods))
    variables["FLOWISE_TELEMETRY_REPLAY_SINK"] = "sqlite:///copy.db"
    command, *arguments = container["args"]
    assert command == "replay"
    for index in range(pods):
        done = operator.run(*arguments, **variables, JOB_COMPLETION_INDEX=str(index))
        assert done.status == 0, done
        assert list(json.loads(done.stdout)["partitions"]) == [str(index)]
    assert counts(operator, "sqlite:///copy.db") == EVENTS
    listed = operator.run("list", "--sink", "sqlite:///copy.db", "--json").stdout.splitlines()
    assert {json.loads(line)["shard"] for line in listed} == {f"{number}-of-{pods}" for number in range(1, pods + 1)}
    assert len({json.loads(line)["replay"] for line in listed}) == 1


def test_a_replay_that_retention_cut_short_says_what_is_missing(
    operator: Operator, request: pytest.FixtureRequest
) -> None:
    if not operator.is_real:
        request.applymarker(pytest.mark.xfail(strict=True, reason="librdkafka's mock cluster deletes no records"))
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient

    client = AdminClient({"bootstrap.servers": operator.environ["FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS"]})
    for done in client.delete_records([TopicPartition(operator.topic, 0, 7)]).values():
        done.result(60)
    cut = operator.run("--sink", "sqlite:///copy.db", "--from", "2")
    assert cut.status == 3
    missing = "retention deleted offsets of the range, by partition 0: 2-6"
    assert cut.errors[-1] == f"error: incomplete: {missing} (--allow-missing accepts that)"
    again = operator.run("--sink", "sqlite:///copy.db", "--from", "2")
    assert (again.status, again.stdout, again.errors[-1]) == (3, "", cut.errors[-1])
    assert again.errors[-2].endswith(" is finished; --restart reads the topic again")
    assert operator.run("--sink", "sqlite:///copy.db", "--from", "2", "--restart").stdout
    content = operator.run("--sink", "sqlite:///copy.db", "--from", "2", "--allow-missing")
    assert (content.status, content.errors[-1]) == (0, f"note: {missing}")
    planned = operator.run("--sink", "sqlite:///copy.db", "--from", "2", "--dry-run")
    assert (planned.status, planned.errors[-1]) == (3, cut.errors[-1])


def test_a_finished_replay_still_says_what_is_missing(operator: Operator) -> None:
    run = operator.document("--sink", "sqlite:///copy.db")["replay"]
    assert isinstance(run, str)
    sink = open_claimed(f"sqlite:///{operator.folder}/copy.db")
    (kept,) = list_runs(sink)
    keep_missing(sink, kept, [TopicPartition(operator.topic, 0)], {TopicPartition(operator.topic, 0): [(2, 7)]})
    sink.close()
    missing = "retention deleted offsets of the range, by partition 0: 2-6"
    resumed = operator.run("resume", run, "--sink", "sqlite:///copy.db")
    assert resumed.status == 3
    assert resumed.errors[-1] == f"error: incomplete: {missing} (--allow-missing accepts that)"
    content = operator.run("resume", run, "--sink", "sqlite:///copy.db", "--allow-missing")
    assert (content.status, content.errors[-1]) == (0, f"note: {missing}")


@pytest.mark.slow
def test_what_is_away_or_held_is_incomplete_and_can_be_started_again(tmp_path: Path) -> None:
    nowhere = {
        "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "FLOWISE_TELEMETRY_KAFKA_CONNECT_TIMEOUT_MS": "1000",
    }
    for options in ((), ("--dry-run",)):
        done = run_command("replay", "--sink", "sqlite:///a.db", *options, folder=tmp_path, env=nowhere)
        assert (done.status, done.stdout) == (3, "")
        assert done.errors[-1].startswith("error: incomplete: ")
        assert done.errors[-1].endswith(": it can be started again")


def test_a_replay_that_another_process_has_is_incomplete(operator: Operator) -> None:
    run = operator.document("--sink", "sqlite:///copy.db")["replay"]
    sink = open_claimed(f"sqlite:///{operator.folder}/copy.db")
    sink.lock(f"replay/{run}")
    done = operator.run("--sink", "sqlite:///copy.db")
    sink.close()
    assert (done.status, done.stdout) == (3, "")
    assert f"another process has 'replay/{run}'" in done.errors[-1]


def test_a_replay_into_staging_tables_is_resumed_there(operator: Operator) -> None:
    done = operator.run("--sink", "sqlite:///copy.db", "--staging", "rebuilt", "--json")
    run = json.loads(done.stdout)["replay"]
    listed = operator.run("list", "--sink", "sqlite:///copy.db", "--staging", "rebuilt", "--json")
    assert json.loads(listed.stdout)["replay"] == run
    assert operator.run("list", "--sink", "sqlite:///copy.db").stdout == ""
    resumed = operator.run("resume", run, "--sink", "sqlite:///copy.db", "--staging", "rebuilt")
    assert resumed.errors == [f"replay {run} is finished: nothing is left to do"]
    unknown = operator.run("resume", run, "--sink", "sqlite:///copy.db")
    assert (unknown.status, len(unknown.errors)) == (1, 1)
    assert f"has no replay {run}" in unknown.errors[0]
