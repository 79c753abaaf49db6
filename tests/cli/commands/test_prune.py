"""``prune``: times, counts and what cannot be pruned."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from flowise_telemetry_schemas import catalog
from tests.cli.in_process import run_command
from tests.consumer.sinks.batches import batch, sizes
from tests.consumer.sinks.roles import open_readable

EVENTS = sum(sizes(batch()).values())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a sink whose events are of November 2023."""
    with closing(open_readable(f"sqlite:///{tmp_path}/a.db")) as sink:
        sink.prepare(catalog())
        sink.write(batch())
    return tmp_path


def rows(folder: Path) -> int:
    with closing(open_readable(f"sqlite:///{folder}/a.db")) as sink:
        return sum(sink.counts().values())


def test_a_dry_run_counts_and_the_run_removes(folder: Path) -> None:
    command = ("prune", "--sink", "sqlite:///a.db", "--before", "2023-12-01")
    done = run_command(*command, "--dry-run", folder=folder)
    assert (done.status, done.errors[-1]) == (
        0,
        f"sqlite:///a.db: {EVENTS} events before 2023-12-01T00:00:00Z would be removed",
    )
    assert rows(folder) == EVENTS
    done = run_command(*command, "--json", folder=folder)
    document = json.loads(done.stdout)
    assert (done.status, document["removed"], document["complete"]) == (0, sizes(batch()), True)
    assert rows(folder) == 0


@pytest.mark.parametrize("before", ["30d", "30d ago", "52 weeks", "2023-11-14T23:00Z", "2023-11-15T00:00+02:00"])
def test_a_time_is_a_date_or_an_age(folder: Path, before: str) -> None:
    done = run_command("prune", "--sink", "sqlite:///a.db", "--before", before, "--json", folder=folder)
    expected = 0 if "T00:00+02:00" in before else EVENTS  # 22:00 in UTC, a quarter of an hour before them
    assert (done.status, sum(json.loads(done.stdout)["removed"].values())) == (0, expected)


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (("--sink", "sqlite:///a.db", "--before", "soon"), 2, "--before: 'soon"),
        (("--sink", "sqlite:///a.db", "--before", "1200"), 2, "--before: '1200' is not a time"),
        (("--sink", "sqlite:///a.db", "--before", "2999-01-01"), 2, "--before: '2999-01-01' is in the future"),
        (("--sink", "sqlite:///a.db"), 2, "Missing option '--before'"),
        (("--sink", "jsonl:-", "--before", "1d"), 1, "jsonl:- cannot be pruned; these can: sqlite, postgresql, duckdb"),
        (("--sink", "sqlite:///typo.db", "--before", "1d"), 1, "there is no such file"),
        (("--sink", "jsonl:///typo", "--before", "1d"), 1, "there is no such file"),
        (("--sink", "duckdb:///typo", "--before", "1d"), 1, "there is no such file"),
        (("--sink", "delta:///typo", "--before", "1d"), 1, "there is no such"),
    ],
)
def test_misuse_is_one_line_and_nothing_is_made(folder: Path, options: tuple[str, ...], status: int, said: str) -> None:
    done = run_command("prune", *options, folder=folder)
    assert (done.status, done.stdout, len(done.errors)) == (status, "", 1)
    assert said in done.errors[0]
    assert not list(folder.glob("typo*"))
    assert rows(folder) == EVENTS
