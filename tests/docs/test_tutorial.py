"""The tutorial, walked from its second step on: its program, its commands, what it says to look at."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from flowise_telemetry import Telemetry
from tests.cli.operator import Operator, wait_until
from tests.cli.program import environment
from tests.docs.blocks import blocks
from tests.docs.shell import simple_commands, typed_lines
from tests.services.kafka import KafkaService

PAGE = [block for block in blocks() if block.page == "docs/tutorial.md"]
(PROGRAM,) = (block.text for block in PAGE if block.language == "python")
COMMANDS = [
    words[1:]
    for block in PAGE
    if block.language == "console"
    for _, words in simple_commands(typed_lines(block.text))
    if words[:1] == ["flowise-telemetry"]
]


def command(*beginning: str) -> list[str]:
    """The tutorial's command that begins so; there is one."""
    (found,) = (words for words in COMMANDS if words[: len(beginning)] == [*beginning])
    return found


@pytest.fixture
def first_py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The program, run in this process; a busy machine has a minute to deliver where users have five seconds."""
    monkeypatch.chdir(tmp_path)  # where no .env lies
    assert Telemetry.close.__kwdefaults__ is not None
    monkeypatch.setitem(Telemetry.close.__kwdefaults__, "timeout_seconds", 60.0)

    def run(**variables: str) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(os, "environ", environment(tmp_path, **variables))
            exec(compile(PROGRAM, "first.py", "exec"), {"__name__": "__main__"})

    return run


def test_the_first_event_is_shown_and_then_it_is_off(
    first_py: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    first_py(FLOWISE_TELEMETRY_DEBUG="1")
    shown = capsys.readouterr().err
    records = [json.loads(line.partition(": ")[2]) for line in shown.splitlines()]
    assert [record["event"] for record in records] == ["tool_created", "tool_created", "stream_state"]
    assert [record["properties"]["toolName"] for record in records[:2]] == ["get_weather", None]
    assert "Jane" not in shown
    first_py(FLOWISE_TELEMETRY_DEBUG="1", DISABLE_FLOWISE_TELEMETRY="true")
    assert capsys.readouterr().err == ""


@pytest.mark.slow  # a consumer in a process of its own, from its start to its end
@pytest.mark.real_broker
def test_events_come_into_a_table_and_a_report(
    first_py: Callable[..., None], kafka: KafkaService, tmp_path: Path
) -> None:
    operator = Operator(kafka, tmp_path, f"tutorial-{uuid.uuid4().hex}")
    assert operator.run(*command("topics", "create")).status == 0
    consumer = operator.start(*command("consume"))
    first_py(**operator.environ)
    wait_until(lambda: names_of_tools(tmp_path) == [None, "get_weather"])
    consumer.send_signal(signal.SIGTERM)
    consumer.communicate(timeout=60)
    told = operator.run(*command("loss"))
    assert told.stdout.split()[-6:] == ["1", "2", "2", "0", "0", "0"]
    reported = operator.run(*command("report", "--sink", "sqlite:///telemetry.db"))
    assert reported.status == 0, reported.stderr
    assert "<html" in (tmp_path / "report.html").read_text(encoding="utf-8")


def names_of_tools(folder: Path) -> list[str | None]:
    try:
        with closing(sqlite3.connect(f"file:{folder}/telemetry.db?mode=ro", uri=True)) as db:
            return [name for (name,) in db.execute("SELECT tool_name FROM tool_created ORDER BY tool_name")]
    except sqlite3.OperationalError:  # not made yet, or locked
        return []
