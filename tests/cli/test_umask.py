"""Files that a command makes are not for the world, whatever the mask of the process that starts it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_schemas import catalog
from tests.cli.command_tree import commands, options_of
from tests.cli.in_process import run_command
from tests.consumer.sinks.batches import batch

pytestmark = pytest.mark.skipif(os.name == "nt", reason="modes are POSIX's")

SINKS = ["sqlite:///new.db", "duckdb:///new.duckdb", "jsonl:///new.jsonl", "delta:///lake"]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with closing(open_sink(f"sqlite:///{tmp_path}/old.db")) as sink:
        sink.prepare(catalog())
        sink.write(batch())
    before = os.umask(0)
    yield tmp_path
    assert os.umask(before) == 0, "a command leaves the mask of the process as it was"


def modes(folder: Path) -> set[tuple[bool, int]]:
    made = [path for path in folder.rglob("*") if not path.name.startswith("old.db")]
    assert made
    return {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in made}


@pytest.mark.parametrize("sink", SINKS)
def test_files_of_a_sink(sink: str, folder: Path) -> None:
    done = run_command("replay", "--source", "sqlite:///old.db", "--sink", sink, folder=folder)
    assert done.status == 0, done.stderr
    assert modes(folder) <= {(False, 0o640), (True, 0o750)}


@pytest.mark.parametrize(("umask", "mode"), [("077", 0o600), ("022", 0o644), ("0", 0o644)])
def test_another_mask(umask: str, mode: int, folder: Path) -> None:
    done = run_command(
        "replay", "--source", "sqlite:///old.db", "--sink", "sqlite:///new.db", "--umask", umask, folder=folder
    )
    assert done.status == 0, done.stderr
    assert modes(folder) == {(False, mode)}


@pytest.mark.parametrize("umask", ["9", "1000", "-1", "rw", ""])
def test_what_is_no_mask(umask: str, folder: Path) -> None:
    done = run_command("compact", "--sink", "delta:///lake", "--umask", umask, folder=folder)
    assert (done.status, "is no octal number of at most 777, such as 027" in done.stderr) == (2, True)


def test_every_command_that_writes_to_a_sink_has_it() -> None:
    found = {words: "--umask" in options_of(command) for words, command in commands()}
    for words, command in commands():
        of_a_group = words.startswith("replay ")  # which has it
        if "--sink" in options_of(command) and words != "doctor" and not of_a_group:
            assert found[words], words
    assert {name for name, has in found.items() if has} >= {"consume", "replay", "dlq redrive", "compact", "demo"}
