"""``dlq`` in one process on a broker in memory: groups, and what is told of a topic that cannot be read to its end."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from flowise_telemetry_cli.invocation import Invocation
from flowise_telemetry_consumer import Consumer, ConsumerSettings
from flowise_telemetry_schemas import Catalog, catalog
from flowise_telemetry_transport.types import Record, TopicPartition
from tests.cli.in_process import run_command
from tests.consumer.sinks.roles import open_readable
from tests.consumer.world import DLQ, TOPIC, InstantReader, MemorySink, SameThread, StopWhen, World

OLDER = Catalog(tuple(schema for schema in catalog() if schema.event != "tool_created"))
GROUPS = ("parquet", "pg")
EVENTS = 60
TOOLS = 10


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
    for command in (("--sink", "sqlite:///a.db"), ("--dry-run",)):
        status, printed, errors = operator.run("redrive", *command)
        assert (status, printed) == (2, "")
        assert errors[-1] == (
            f"error: --group: {DLQ} has dead letters of 2 groups: parquet (10), pg (10); "
            "name the one whose sink this is"
        )
    assert not list(operator.folder.glob("*.db"))
    for group in GROUPS:
        status, printed, _ = operator.run("redrive", "--group", group, "--sink", f"sqlite:///{group}.db", "--json")
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
    [("list",), ("show", "--max", "100"), ("export",), ("redrive", "--group", "pg", "--sink", "sqlite:///a.db")],
)
def test_letters_that_cannot_be_read_are_told_in_one_line(operator: Operator, command: tuple[str, ...]) -> None:
    operator.world.broker.break_record(TopicPartition(DLQ, 0), 3)
    status, _, errors = operator.run(*command)
    assert (status, errors[-1]) == (3, f"error: dead letters not read from {DLQ}: 1 that the Kafka client cannot read")
