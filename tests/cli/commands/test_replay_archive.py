"""``replay --source``: what an archive holds beside valid events, and what is said of it."""

from __future__ import annotations

import gzip
import json
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

from flowise_telemetry_consumer.sinks import Batch, open_sink
from flowise_telemetry_schemas import catalog
from tests.cli.in_process import run_command
from tests.consumer.archives.lines import documents, spaced
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


def test_a_dry_run_reads_all_and_changes_nothing(folder: Path) -> None:
    command = ("replay", "--source", "sqlite:///old.db", "--sink", "sqlite:///new.db", "--dry-run")
    done = run_command(*command, folder=folder)
    assert done.status == 3
    assert "sqlite:///old.db: row 2: tool_created.toolName: must match " in done.stderr
    assert "note: the sink is taken to be empty: sqlite:///new.db cannot be opened" in done.stderr
    assert not list(folder.glob("new.db*")) + list(folder.glob("*.rejects.jsonl"))
    assert run_command(*command[:-1], "--event", "prediction_sent", folder=folder).status == 0
    document = json.loads(run_command(*command, "--json", folder=folder).stdout)
    there = {name: (event["already_there"], event["written"]) for name, event in document["events"].items()}
    assert there["prediction_sent"] == (1, 0)
    assert there["tool_created"] == (0, 1)
    assert (document["dry_run"], document["rejected"], document["sink_error"]) == (True, {"pattern": 1}, None)
    onto_topic = run_command(*command[:3], "--sink", "kafka://copy", "--dry-run", "--json", folder=folder)
    assert (onto_topic.status, json.loads(onto_topic.stdout)["rejected"]) == (3, {"pattern": 1})


@pytest.mark.parametrize("name", ["old.jsonl", "old.jsonl.gz"])
def test_lines_of_others_are_an_archive_too(folder: Path, name: str) -> None:
    lines = [spaced(document) for document in documents()] + [b'{"event": "prompt_typed", "properties": {}}']
    content = b"\n".join(lines)
    (folder / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    command = ("replay", "--source", f"jsonl:///{name}", "--sink", "sqlite:///new.db", "--json")
    done = run_command(*command, folder=folder)
    document = json.loads(done.stdout)
    assert (done.status, document["rejected"]) == (3, {"unknown_event": 1})
    assert sum(event["written"] for event in document["events"].values()) == EVENTS
    assert "prompt_typed" not in done.stderr + (folder / f"{name}.rejects.jsonl").read_text()


def test_standard_input_is_an_archive_too(folder: Path) -> None:
    command = ("replay", "--source", "jsonl:-", "--sink", "sqlite:///new.db")
    done = run_command(*command, folder=folder, stdin=b"\n".join(spaced(document) for document in documents()))
    assert (done.status, f"written {EVENTS}" in done.stderr) == (0, True)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"hello\n", "old.jsonl is no file of events: line 1: is not JSON at column 1"),
        (b"", "old.jsonl holds no events: name the place that a consumer wrote to"),
    ],
)
def test_a_file_that_is_no_archive_is_told(folder: Path, content: bytes, said: str) -> None:
    (folder / "old.jsonl").write_bytes(content)
    done = run_command("replay", "--source", "jsonl:///old.jsonl", "--sink", "sqlite:///new.db", folder=folder)
    assert (done.status, done.errors[-1]) == (1, f"error: {said}")
