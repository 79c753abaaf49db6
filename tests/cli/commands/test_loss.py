"""``loss``: what it prints, for people and for programs."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_schemas import catalog
from tests.cli.in_process import run_command
from tests.consumer.loss.streams import DAY_MS, NOW_MS, batch_with, events, state


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a sink that lacks 6 of 12 events of a stream: 4 were dropped, 2 nobody explains."""
    with closing(open_sink(f"sqlite:///{tmp_path}/a.db")) as sink:
        sink.prepare(catalog())
        sink.write(batch_with(events("a", range(5), NOW_MS - DAY_MS), events("a", [7])))
        sink.write(batch_with(state("a", numbered=12, droppedQueueFull=3, droppedInvalid=1, ended=True)))
    return tmp_path


def test_it_prints_a_line_that_adds_up(folder: Path) -> None:
    done = run_command("loss", "--sink", "sqlite:///a.db", folder=folder)
    assert done.status == 0
    assert done.stdout.split() == [
        *("streams", "numbered", "written", "dropped", "on", "the", "way", "unexplained"),
        *("1", "12", "6", "4", "0", "2"),
    ]


def test_each_form_adds_up_for_programs(folder: Path) -> None:
    def asked(*options: str) -> dict[str, object]:
        done = run_command("loss", "--sink", "sqlite:///a.db", "--json", *options, folder=folder)
        assert (done.status, done.errors) == (0, [])
        document: dict[str, object] = json.loads(done.stdout)
        return document

    whole = asked()
    assert {key: whole[key] for key in ("streams", "numbered", "written", "on_the_way", "unexplained", "missing")} == {
        "streams": 1,
        "numbered": 12,
        "written": 6,
        "on_the_way": 0,
        "unexplained": 2,
        "missing": 6,
    }
    drops = whole["dropped"]
    assert isinstance(drops, dict)
    assert {reason: count for reason, count in drops.items() if count} == {"queue_full": 3, "invalid": 1}
    for by in ("instance", "day"):
        rows = asked("--by", by)[f"by_{by}"]
        assert isinstance(rows, list)
        assert len(rows) == {"instance": 1, "day": 2}[by]
        for key in ("numbered", "written", "unexplained"):
            assert sum(row[key] for row in rows) == whole[key]
    reasons = asked("--by", "reason")["by_reason"]
    assert isinstance(reasons, list)
    assert sum(row["events"] for row in reasons if row["outcome"] != "dead_letter") == whole["numbered"]


@pytest.mark.parametrize("by", ["instance", "day", "reason"])
def test_each_form_is_a_table_for_people(folder: Path, by: str) -> None:
    done = run_command("loss", "--sink", "sqlite:///a.db", "--by", by, folder=folder)
    assert (done.status, done.errors) == (0, [])
    assert "unexplained" in done.stdout


@pytest.mark.parametrize("streams", [0, 1])
@pytest.mark.parametrize("by", [(), ("--by", "instance"), ("--by", "day"), ("--by", "reason")], ids=str)
def test_without_an_event_every_form_says_nought(by: tuple[str, ...], streams: int, tmp_path: Path) -> None:
    with closing(open_sink(f"sqlite:///{tmp_path}/a.db")) as sink:
        sink.prepare(catalog())
        if streams:
            sink.write(batch_with(state("a", numbered=0, ended=True)))
    done = run_command("loss", "--sink", "sqlite:///a.db", *by, folder=tmp_path)
    assert (done.status, done.errors) == (0, [])
    head, *rows = done.stdout.splitlines()
    assert head.split()[-1] in ("unexplained", "events")
    figures = [word for row in rows for word in row.split() if word.isdigit()]
    if not by:
        assert figures == [str(streams), "0", "0", "0", "0", "0"]
    else:
        assert set(figures) <= {"0"}
    document = json.loads(run_command("loss", "--sink", "sqlite:///a.db", "--json", *by, folder=tmp_path).stdout)
    assert (document["streams"], document["numbered"], document["missing"]) == (streams, 0, 0)


def test_compact_merges_the_account(folder: Path) -> None:
    before = run_command("loss", "--sink", "sqlite:///a.db", "--by", "day", folder=folder).stdout
    done = run_command("compact", "--sink", "sqlite:///a.db", folder=folder)
    assert (done.status, done.stdout) == (0, "sqlite:///a.db: 3 rows of the account before, 2 after\n")
    assert run_command("loss", "--sink", "sqlite:///a.db", "--by", "day", folder=folder).stdout == before


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (("--sink", "sqlite:///typo.db"), 1, "there is no such file"),
        (("--sink", "jsonl:-"), 1, "jsonl:- cannot be read back"),
        (("--sink", "sqlite:///a.db", "--age", "soon"), 2, "--age: 'soon"),
        ((), 2, "Missing option '--sink'"),
    ],
)
def test_misuse_is_one_line(folder: Path, options: tuple[str, ...], status: int, said: str) -> None:
    done = run_command("loss", *options, folder=folder)
    assert (done.status, done.stdout, len(done.errors)) == (status, "", 1)
    assert said in done.errors[0]
    assert not list(folder.glob("typo*"))
