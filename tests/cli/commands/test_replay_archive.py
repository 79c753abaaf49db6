"""``replay --source``: what an archive holds beside valid events, and what is said of it."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

from flowise_telemetry_consumer.sinks import Batch, open_sink
from flowise_telemetry_schemas import catalog
from tests.cli.in_process import run_command
from tests.consumer.sinks.batches import batch, sizes

EVENTS = sum(sizes(batch()).values())
SECRET = "name@example.com"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an archive in which one row of eight is none of ours."""
    bad = batch(1).frames["tool_created"].with_columns(tool_name=pl.lit(SECRET))
    with closing(open_sink(f"sqlite:///{tmp_path}/old.db")) as sink:
        sink.prepare(catalog())
        sink.write(batch())
        sink.write(Batch({"tool_created": bad}))
    return tmp_path


def test_a_bad_row_is_set_aside_and_the_exit_status_says_so(folder: Path) -> None:
    command = ("replay", "--source", "sqlite:///old.db", "--sink", "sqlite:///new.db")
    done = run_command(*command, folder=folder)
    assert (done.status, done.errors[-1]) == (
        3,
        "error: incomplete: 1 is no valid event and was set aside: old.db.rejects.jsonl says which, and why",
    )
    (reject,) = map(json.loads, (folder / "old.db.rejects.jsonl").read_text().splitlines())
    message = reject.pop("message")
    assert message.startswith("must match ")
    assert reject == {
        "source": "sqlite:///old.db",
        "row": 2,
        "event": "tool_created",
        "field": "toolName",
        "rule": "pattern",
        "more": 0,
    }
    assert done.stdout.splitlines()[-2:] == ["rejected for  count", "pattern           1"]
    again = run_command(*command, "--json", "--rejects", "bad.jsonl", folder=folder)
    document = json.loads(again.stdout)
    assert (again.status, document["rejected"], document["rejects"]) == (3, {"pattern": 1}, "bad.jsonl")
    assert sum(event["already_there"] for event in document["events"].values()) == EVENTS
    assert SECRET not in "".join((done.stdout, done.stderr, again.stdout, again.stderr, message))


def test_rejects_are_for_archives_alone(folder: Path) -> None:
    done = run_command("replay", "--sink", "sqlite:///new.db", "--rejects", "bad.jsonl", folder=folder)
    assert (done.status, "bad records of a topic become dead letters" in done.stderr) == (2, True)
