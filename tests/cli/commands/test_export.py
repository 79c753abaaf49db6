"""``export``: parts, formats, what is in the way, and the way back by ``replay --source``."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from flowise_telemetry_schemas import catalog
from tests.cli.in_process import run_command
from tests.consumer.sinks.batches import batch, sizes
from tests.consumer.sinks.roles import open_readable

EVENTS = sizes(batch())
TOTAL = sum(EVENTS.values())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a sink whose events are of November 2023."""
    with closing(open_readable(f"sqlite:///{tmp_path}/a.db")) as sink:
        sink.prepare(catalog())
        sink.write(batch())
    return tmp_path


@pytest.mark.parametrize("file_format", ["parquet", "csv"])
def test_an_export_is_replayed_into_another_sink(folder: Path, file_format: str) -> None:
    command = ("export", "--sink", "sqlite:///a.db", "--out", "out", "--format", file_format)
    done = run_command(*command, folder=folder)
    assert (done.status, done.errors[-1]) == (0, f"sqlite:///a.db: {TOTAL} events in {len(EVENTS)} files in out")
    assert "vector_upserted       2      1" in done.stdout
    replay = ("replay", "--source", "out", "--sink", "sqlite:///b.db", "--json")
    for before in (0, TOTAL):
        done = run_command(*replay, folder=folder)
        events = json.loads(done.stdout)["events"]
        assert (done.status, sum(its["already_there"] for its in events.values())) == (0, before)
    with closing(open_readable(f"sqlite:///{folder}/b.db")) as sink:
        assert sink.counts() == EVENTS


def test_a_part_and_again(folder: Path) -> None:
    command = ("export", "--sink", "sqlite:///a.db", "--out", "out", "--event", "tool_created", "--json", "--since")
    done = run_command(*command, "2023-11-14", folder=folder)
    assert (done.status, json.loads(done.stdout)) == (
        0,
        {"out": "out", "format": "parquet", "rows": {"tool_created": 1}, "files": {"tool_created": 1}},
    )
    refused = run_command(*command, "1d", folder=folder)
    assert (refused.status, refused.stdout) == (1, "")
    assert refused.errors[-1].startswith("error: --overwrite: ")
    assert refused.errors[-1].endswith("out holds an export: name another folder, or replace it")
    done = run_command(*command, "1d", "--overwrite", folder=folder)
    assert json.loads(done.stdout)["rows"] == {"tool_created": 0}


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (("--sink", "sqlite:///a.db", "--out", "a.db"), 2, "--out: "),
        (("--sink", "sqlite:///a.db", "--out", "."), 2, "holds files that are no export"),
        (("--sink", "sqlite:///a.db", "--out", "no/such"), 2, "make the folder"),
        (("--sink", "sqlite:///a.db", "--out", "x", "--since", "soon"), 2, "--since: 'soon"),
        (("--sink", "sqlite:///a.db", "--out", "x", "--event", "typo"), 2, "--event: there is no event typo"),
        (("--sink", "sqlite:///a.db", "--out", "x", "--format", "xml"), 2, "--format"),
        (("--sink", "jsonl:-", "--out", "x"), 1, "--sink: jsonl:- cannot be read back"),
        (("--sink", "sqlite:///typo.db", "--out", "x"), 1, "there is no such file"),
        (("--sink", "delta:///typo", "--out", "x"), 1, "there is no such"),
        (("--sink", "parquet:///a", "--out", "x"), 2, "not the URL of a sink"),
    ],
)
def test_misuse_is_one_line_and_nothing_is_made(folder: Path, options: tuple[str, ...], status: int, said: str) -> None:
    before = {path.name for path in folder.iterdir()}
    done = run_command("export", *options, folder=folder)
    assert (done.status, done.stdout, len(done.errors)) == (status, "", 1)
    assert said in done.errors[0]
    assert {path.name for path in folder.iterdir()} == before
