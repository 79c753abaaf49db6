"""``dlq`` in one process on a broker in memory: groups, and what is told of a topic that cannot be read to its end."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from flowise_telemetry_cli.invocation import Invocation
from flowise_telemetry_consumer import Consumer, ConsumerSettings
from flowise_telemetry_schemas import Catalog, catalog
from flowise_telemetry_schemas.printable import printable_lines
from flowise_telemetry_transport.types import OutgoingRecord, Record, TopicPartition
from tests.cli.in_process import run_command
from tests.consumer.sinks.roles import open_readable
from tests.consumer.world import DLQ, TOPIC, InstantReader, MemorySink, SameThread, StopWhen, World

OLDER = Catalog(tuple(schema for schema in catalog() if schema.event != "tool_created"))
GROUPS = ("parquet", "pg")
EVENTS = 60
TOOLS = 10
FINGERPRINT = catalog().latest("tool_created").fingerprint_hex


class StallingReader(InstantReader):
    """Reads four records a poll, and after so many polls none at all."""

    polls_left = 1_000

    def close(self, *, timeout_seconds: float = 0.0) -> None:
        """Stay open: every command of a test takes this reader."""

    def poll(self, *, timeout_seconds: float, max_records: int) -> list[Record]:
        self.polls_left -= 1
        if self.polls_left < 0:
            self.clock.now += timeout_seconds
            return []
        return super().poll(timeout_seconds=timeout_seconds, max_records=4)


class Operator:
    """Two services of an older release, each with a group and a sink, have filed the same ten events."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.world = World(partitions=1)
        self.world.send_good(EVENTS)
        self.reader = StallingReader(self.world.broker, None, self.world.clock)
        for group in GROUPS:
            reader = self.world.reader(group)
            reader.before_commit = lambda offsets: None
            Consumer(
                reader,
                MemorySink(),
                self.world.broker.open_writer(),
                OLDER,
                ConsumerSettings(topic=TOPIC, group=group),
                clock=self.world.clock,
                sink_thread=SameThread(),
            ).run(StopWhen(lambda: EVENTS in self.world.broker.group(group).committed.values()))  # noqa: B023
            reader.close()

    def run(self, *arguments: str) -> tuple[int, str, list[str]]:
        """Exit status, standard output, and the lines on standard error."""
        broker = self.world.broker
        invocation = Invocation(
            open_reader=lambda settings: self.reader,
            open_writer=lambda settings, **options: broker.open_writer(),
            open_admin=lambda settings: broker.open_admin(),
            clock=self.world.clock,
        )
        environ = {"FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": "nowhere:1", "FLOWISE_TELEMETRY_TOPIC": TOPIC}
        done = run_command("dlq", *arguments, folder=self.folder, env=environ, invocation=invocation)
        return done.status, done.stdout, done.errors

    def rows(self, name: str) -> dict[str, int]:
        sink = open_readable(f"sqlite:///{self.folder / name}.db")
        counts = sink.counts()
        sink.close()
        return counts


@pytest.fixture
def operator(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> Operator:
    caplog.set_level(logging.CRITICAL, "flowise_telemetry")
    return Operator(tmp_path)


def test_the_list_shows_the_groups(operator: Operator) -> None:
    status, printed, _ = operator.run("list", "--by", "group")
    assert (status, [line.split() for line in printed.splitlines()]) == (
        0,
        [["group", "count"], ["parquet", "10"], ["pg", "10"]],
    )
    _, printed, errors = operator.run("list", "--group", "pg", "--json")
    document = json.loads(printed)
    assert (document["group"], document["count"], errors[0]) == ("pg", TOOLS, f"{TOOLS} dead letters in {DLQ}")


def test_each_group_is_redriven_into_its_own_sink(operator: Operator) -> None:
    for command in (("--sink", "sqlite:///a.db", "--new-sink"), ("--dry-run",)):
        status, printed, errors = operator.run("redrive", *command)
        assert (status, printed) == (2, "")
        assert errors[-1] == (
            f"error: --group: {DLQ} has dead letters of 2 groups: parquet (10), pg (10); "
            "name the one whose sink this is"
        )
    assert not list(operator.folder.glob("*.db"))
    for group in GROUPS:
        status, printed, _ = operator.run(
            "redrive", "--group", group, "--sink", f"sqlite:///{group}.db", "--new-sink", "--json"
        )
        assert (status, json.loads(printed)["written"]) == (0, {"tool_created": TOOLS})
        assert operator.rows(group)["tool_created"] == TOOLS
    status, _, errors = operator.run("redrive", "--group", "pq", "--dry-run")
    assert (status, errors) == (0, [f"{DLQ} has no dead letters of group pq, only of parquet, pg"])


def test_show_and_export_take_one_group(operator: Operator) -> None:
    _, printed, _ = operator.run("show", "--group", "pg", "--max", "100")
    assert printed.count("group:     pg") == printed.count("reason: ") == TOOLS
    _, printed, _ = operator.run("export", "--group", "parquet")
    assert [json.loads(line)["group"] for line in printed.splitlines()] == ["parquet"] * TOOLS
    _, _, errors = operator.run("show", "--group", "nobody")
    assert errors == [f"no such dead letters in {DLQ}"]


@pytest.mark.parametrize(
    ("command", "said"),
    [(("show", "--max", "100"), "shown"), (("export",), "exported"), (("export", "--output", "file"), "exported")],
)
def test_what_stops_early_says_how_many_it_had(operator: Operator, command: tuple[str, ...], said: str) -> None:
    operator.reader.polls_left = 5 + 2  # the topic is read twice
    status, _, errors = operator.run(*command)
    assert (status, errors) == (
        3,
        [
            f"8 dead letters of {DLQ} {said}",
            f"error: incomplete: no records received for 30 s from {DLQ}[0] at offset 8",
        ],
    )


@pytest.mark.parametrize(
    "command",
    [
        ("list",),
        ("show", "--max", "100"),
        ("export",),
        ("redrive", "--group", "pg", "--sink", "sqlite:///a.db", "--new-sink"),
    ],
)
def test_letters_that_cannot_be_read_are_told_in_one_line(operator: Operator, command: tuple[str, ...]) -> None:
    operator.world.broker.break_record(TopicPartition(DLQ, 0), 3)
    status, _, errors = operator.run(*command)
    assert (status, errors[-1]) == (3, f"error: dead letters not read from {DLQ}: 1 that the Kafka client cannot read")


def test_a_mistyped_sink_is_refused_and_nothing_filed(operator: Operator) -> None:
    letters = len(operator.world.dead_records())
    for dry_run in ((), ("--dry-run",)):
        status, printed, errors = operator.run("redrive", "--group", "pg", "--sink", "sqlite:///typo.db", *dry_run)
        assert (status, printed) == (2, "")
        assert errors[-1].startswith("error: --new-sink: sqlite:///typo.db does not know the group pg")
    assert (len(operator.world.dead_records()), list(operator.folder.glob("typo*"))) == (letters, [])


def test_receipts_of_a_wrong_sink_are_taken_back(operator: Operator) -> None:
    operator.run("redrive", "--group", "pg", "--sink", "sqlite:///wrong.db", "--new-sink")
    _, _, errors = operator.run("restore", "--group", "pg", "--all", "--dry-run")
    assert errors[-1] == f"{TOOLS} of {TOOLS} dead letters of {DLQ} would be restored"
    _, printed, errors = operator.run("restore", "--group", "pg", "--offset", "0-29", "--json")
    restored = json.loads(printed)["restored"]
    assert (restored, errors[-1]) == ({"unknown_fingerprint": 5}, f"5 of {TOOLS} dead letters of {DLQ} restored")
    operator.run("restore", "--group", "pg", "--ended-since", "1970-01-01")
    status, printed, _ = operator.run("redrive", "--group", "pg", "--sink", "sqlite:///pg.db", "--new-sink", "--json")
    assert (status, json.loads(printed)["written"]) == (0, {"tool_created": TOOLS})


def test_discarded_letters_count_no_longer_and_come_back(operator: Operator) -> None:
    mine = ("--group", "pg", "--offset", "0-29")
    _, printed, errors = operator.run("discard", *mine, "--dry-run")
    assert errors[-1] == f"5 of {TOOLS} dead letters of {DLQ} would be discarded"
    assert operator.run("discard", *mine)[2][-1] == f"5 of {TOOLS} dead letters of {DLQ} discarded"
    _, _, errors = operator.run("list", "--group", "pg")
    assert errors[0] == f"5 dead letters in {DLQ}, 5 discarded"
    status, printed, _ = operator.run("redrive", "--group", "pg", "--dry-run", "--json")
    assert (status, json.loads(printed)["written"]) == (0, {"tool_created": 5})
    operator.run("restore", "--all")
    _, _, errors = operator.run("list", "--group", "pg")
    assert errors[0] == f"{TOOLS} dead letters in {DLQ}, 5 superseded by a later one of the same record"


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--reason", "unknown_fingerprint"), 2 * TOOLS),
        (("--reason", "constraint"), 0),
        (("--schema", FINGERPRINT), 2 * TOOLS),
        (("--schema", "tool_created.v1"), 0),
        (("--event", "tool_created"), 0),  # of an older release: it did not know the event
        (("--field", "toolName"), 0),
        (("--partition", "0"), 2 * TOOLS),
        (("--partition", "1"), 0),
        (("--offset", "0-29"), TOOLS),
        (("--offset", "0-29", "--offset", "30 - 59"), 2 * TOOLS),
        (("--since", "1970-01-01"), 2 * TOOLS),
        (("--since", "2999-01-01"), 0),
        (("--offset", "0-29", "--reason", "constraint"), 0),
    ],
)
def test_every_command_chooses_alike(operator: Operator, options: tuple[str, ...], found: int) -> None:
    assert operator.run("list", *options)[2][0].startswith(f"{found} dead letters in {DLQ}")
    assert operator.run("show", "--max", "100", *options)[1].count("reason: ") == found
    assert len(operator.run("export", *options)[1].splitlines()) == found
    assert operator.run("discard", "--dry-run", *options)[2][-1] == (
        f"{found} of {2 * TOOLS} dead letters of {DLQ} would be discarded"
    )
    document = json.loads(operator.run("redrive", "--group", "pg", "--dry-run", "--json", *options)[1])
    assert (document["written"].get("tool_created", 0), document["not_chosen"]) == (found // 2, TOOLS - found // 2)


@pytest.mark.parametrize("command", [("list",), ("show",), ("export",), ("redrive", "--dry-run"), ("discard",)])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--reason", "nonsense"), "'--reason': 'nonsense' is not one of"),
        (("--reason", "redriven"), "'--reason': 'redriven' is not one of"),
        (("--schema", "tool"), "--schema: 'tool' is not a schema"),
        (("--event", "tool"), "--event: there is no event tool; there are: assistant_created"),
        (("--partition", "-1"), "'--partition': -1 is not in the range x>=0"),
        (("--offset", "9-3"), "--offset: '9-3' is not a range of offsets"),
        (("--offset", "abc"), "--offset: 'abc' is not a range of offsets"),
        (("--since", "yesterday"), "--since: 'yesterday' is not"),
        (("--since", "1200"), "--since: '1200' is not a time"),
    ],
)
def test_a_filter_that_nothing_can_meet_is_misuse(
    operator: Operator, command: tuple[str, ...], options: tuple[str, ...], said: str
) -> None:
    status, printed, errors = operator.run(*command, *options)
    assert (status, printed, len(errors)) == (2, "", 1)
    assert said in errors[0]


@pytest.mark.parametrize("command", ["discard", "restore"])
def test_nothing_is_settled_by_omission(operator: Operator, command: str) -> None:
    status, _, errors = operator.run(command)
    assert status == 2
    assert "Say which dead letters" in errors[0]


FORGED = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnihton\r\n"


@pytest.mark.parametrize("arguments", [("list",), ("show", "--max", "99"), ("show", "--max", "99", "--values")])
def test_a_forged_letter_does_not_control_the_terminal(operator: Operator, arguments: tuple[str, ...]) -> None:
    names = ("reason", "stage", "field", "error.class", "error.message", "schema", "consumer.group", "failed.at")
    headers = [(f"dlq.{name}", FORGED.encode()) for name in names]
    headers += [("dlq.source.topic", FORGED.encode()), ("dlq.source.partition", b"0"), ("dlq.source.offset", b"7")]
    headers += [(FORGED, FORGED.encode())]
    writer = operator.world.broker.open_writer()
    writer.send(OutgoingRecord(DLQ, FORGED.encode(), FORGED.encode(), headers=tuple(headers)), lambda *_: None)
    writer.flush(timeout_seconds=1)
    _, printed, errors = operator.run(*arguments)
    said = printed + "\n".join(errors)
    assert printable_lines(said) == said
    assert "\r" not in said
    assert "owned" in said
