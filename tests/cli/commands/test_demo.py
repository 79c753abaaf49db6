"""``demo`` from end to end, and what it says of itself."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import click
import pytest

from flowise_telemetry_cli.commands.demo import arrival, fields, outage, switched_off
from flowise_telemetry_cli.commands.demo.narration import Narration
from flowise_telemetry_cli.commands.demo.walk import STEPS
from flowise_telemetry_cli.errors import PROGRAM
from tests.cli.in_process import run_command
from tests.cli.operator import TOTALS

ROOT = Path(__file__).parents[3]


@pytest.mark.services
def test_the_demo_finds_what_it_expects_in_every_step(tmp_path: Path) -> None:
    done = run_command("demo", "--events", "500", folder=tmp_path, env={"DISABLE_FLOWISE_TELEMETRY": "true"})
    assert done.status == 0, done
    lines = done.stdout.splitlines()
    assert tuple(re.findall(r"^Step \d of 4\. (.*)$", done.stdout, re.MULTILINE)) == STEPS
    assert lines.count("As expected.") == len(STEPS)
    assert [line for line in lines if len(line) > 80 and PROGRAM not in line] == []
    (total,) = (line.split()[-3:] for line in lines if line.split()[:1] == ["all"])
    assert total == ["507", "500", "7"]
    with closing(sqlite3.connect(tmp_path / ".demo" / "telemetry.db")) as connection:
        counts = [connection.execute(f"select count(*) from {event}").fetchone()[0] for event in TOTALS]
    assert sum(counts) == 500
    assert all(counts)
    assert "<html" in (tmp_path / ".demo" / "report.html").read_text(encoding="utf-8")
    assert not (tmp_path / "config").exists(), "the demo leaves nothing outside its folder"


def test_no_secret_of_the_flow_is_in_what_leaves(capsys: pytest.CaptureFixture[str]) -> None:
    narration = Narration(steps=1)
    fields.show_what_leaves(narration)
    shown = capsys.readouterr().out
    before, record = shown.split("The whole record that leaves")
    private = (fields.PROMPT, fields.API_KEY, fields.CUSTOM_NODE)
    assert all(text in before for text in private)
    assert not any(text in record for text in private)
    assert narration.as_expected


def test_what_was_not_expected_is_said_and_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival, "show_the_pipeline", lambda *_: True)
    monkeypatch.setattr(switched_off, "show_that_off_is_off", lambda _: None)
    monkeypatch.setattr(fields, "show_what_leaves", lambda _: None)
    monkeypatch.setattr(outage, "show_that_nothing_is_lost", lambda narration: narration.compare("1 event", "0 events"))
    done = run_command("demo", folder=tmp_path)
    assert done.status == 1
    assert "NOT AS EXPECTED." in done.stdout


def test_a_pipeline_that_was_stopped_ends_the_walk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival, "show_the_pipeline", lambda *_: False)
    assert run_command("demo", folder=tmp_path).status == 3


def test_pause_waits_between_steps(capsys: pytest.CaptureFixture[str]) -> None:
    answers = ["\n"]
    narration = Narration(steps=3, pause=True, enter=lambda: answers.pop() if answers else "")
    narration.begin("One", done="this", look="that")
    assert answers, "not before the first"
    narration.begin("Two", done="this", look="that")
    assert not answers
    with pytest.raises(click.Abort):
        narration.begin("Three", done="this", look="that")
    said = capsys.readouterr()
    assert "Three" not in said.out
    assert said.err.count("Enter for the next step") == 2


def test_pause_needs_a_terminal(tmp_path: Path) -> None:
    done = run_command("demo", "--pause", folder=tmp_path)
    assert (done.status, done.stdout) == (2, "")
    (line,) = done.errors
    assert "--pause waits for Enter, which needs a terminal" in line
    assert not (tmp_path / ".demo").exists()


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md"])
def test_the_pages_name_the_steps(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    places = [text.find(title) for title in STEPS]
    assert -1 not in places
    assert places == sorted(places)
