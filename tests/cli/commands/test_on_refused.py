"""``--on-refused`` of ``replay`` and ``dlq redrive``: a rule that someone added to a table of the sink."""

from __future__ import annotations

import json
import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from flowise_telemetry_cli.invocation import Invocation
from flowise_telemetry_consumer import Consumer
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_schemas import catalog
from tests.cli.in_process import run_command
from tests.consumer.dead_letters.redriven import OLD, SETTINGS, TOOLS
from tests.consumer.sinks.roles import open_claimed, open_readable
from tests.consumer.world import TOPIC, InstantReader, SameThread, StopWhen, World

RULE = "CREATE TRIGGER no_app BEFORE INSERT ON tool_created BEGIN SELECT RAISE(ABORT, 'not here'); END"


class _Reader(InstantReader):
    def close(self, *, timeout_seconds: float = 0.0) -> None:
        """Stay open: every command of a test takes this reader."""


class Operator:
    """Sixty events on a topic, and a SQLite sink whose table of tools refuses every row."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.world = World(partitions=1)
        self.world.send_good(60)
        self.url = f"sqlite:///{folder}/copy.db"

    def add_rule(self) -> None:
        with closing(open_sink(self.url)) as sink:
            sink.prepare(catalog())
        self._execute(RULE)

    def mend(self) -> None:
        self._execute("DROP TRIGGER no_app")

    def _execute(self, statement: str) -> None:
        with closing(sqlite3.connect(self.folder / "copy.db")) as database, database:
            database.execute(statement)

    def run(self, *arguments: str) -> tuple[int, str, list[str]]:
        """Return exit status, standard output, and the lines on standard error."""
        broker = self.world.broker
        invocation = Invocation(
            open_reader=lambda settings: _Reader(broker, None, self.world.clock),
            open_writer=lambda settings, **options: broker.open_writer(),
            open_admin=lambda settings: broker.open_admin(),
            clock=self.world.clock,
        )
        environ = {"FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": "nowhere:1", "FLOWISE_TELEMETRY_TOPIC": TOPIC}
        done = run_command(*arguments, "--sink", self.url, folder=self.folder, env=environ, invocation=invocation)
        return done.status, done.stdout, done.errors

    def counts(self) -> dict[str, int]:
        with closing(open_readable(self.url)) as sink:
            return sink.counts()


@pytest.fixture
def operator(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> Operator:
    caplog.set_level(logging.CRITICAL, "flowise_telemetry")
    return Operator(tmp_path)


@pytest.mark.slow
def test_a_replay_ends_with_one_line_that_names_the_row(operator: Operator) -> None:
    operator.add_rule()
    status, _, errors = operator.run("replay", "--no-progress-seconds", "1")
    assert status == 3
    (line,) = (error for error in errors if error.startswith("error:"))
    assert "incomplete: the sink stayed unavailable:" in line
    assert " at events[0] offset " in line
    assert "; the batch is events[0] 0 to 59: resume it with flowise-telemetry replay resume " in line


def test_a_replay_leaves_out_what_is_refused_and_says_how_many(operator: Operator) -> None:
    operator.add_rule()
    status, out, errors = operator.run("replay", "--on-refused", "dead-letter", "--json")
    document = json.loads(out)
    assert (status, document["complete"], document["adds_up"]) == (3, True, True)
    assert document["dead"] == {"refused": TOOLS}
    assert f"error: incomplete: {TOOLS} events are refused by a rule of the sink and left out" in errors[-1]
    operator.mend()
    status, _, _ = operator.run("replay")
    assert (status, sum(operator.counts().values())) == (0, 60)


def test_an_archive_has_no_dead_letters(operator: Operator) -> None:
    status, _, errors = operator.run(
        "replay", "--source", f"jsonl:///{operator.folder}/x", "--on-refused", "dead-letter"
    )
    assert status == 2
    assert "--on-refused dead-letter does not apply to --source: an archive has no dead letters." in errors[-1]


def test_a_redrive_keeps_what_is_refused_as_dead_letters(operator: Operator) -> None:
    reader = operator.world.reader()
    reader.before_commit = lambda offsets: None
    Consumer(
        reader,
        open_claimed(operator.url),
        operator.world.broker.open_writer(),
        OLD,
        SETTINGS,
        clock=operator.world.clock,
        sink_thread=SameThread(),
    ).run(StopWhen(operator.world.all_committed))
    reader.close()
    operator.add_rule()
    status, out, _ = operator.run("dlq", "redrive", "--on-refused", "dead-letter", "--json")
    document = json.loads(out)
    assert (status, document["written"], document["still_bad"]) == (3, {}, {"refused": TOOLS})
    operator.mend()
    status, out, _ = operator.run("dlq", "redrive", "--reason", "refused", "--json")
    assert (status, json.loads(out)["written"]) == (0, {"tool_created": TOOLS})
    assert sum(operator.counts().values()) == 60
