"""What becomes of files and of the log in a lake that grows old: nobody has to clean it up by hand."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from flowise_telemetry_consumer.sinks.delta import RETENTION_HOURS, DeltaSink, log
from flowise_telemetry_consumer.sinks.delta.compaction import vacuum
from flowise_telemetry_consumer.sinks.delta.folder import Folder
from flowise_telemetry_schemas import catalog
from tests.consumer.sinks.bad_days import InterruptedHereError
from tests.consumer.sinks.test_delta import FolderOfBadDays, numbers, sink_in, tools

pytestmark = pytest.mark.slow

TABLE = "tool_created"
RETENTION_MS = RETENTION_HOURS * 3_600_000
HOUR_MS = 3_600_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.fixture
def sink(root: Path) -> Iterator[DeltaSink]:
    opened = sink_in(root)
    yield opened
    opened.close()


def grow_older(root: Path, by_ms: int) -> None:
    """Let all that a lake holds have been made so much earlier: files by their times, commits by what they say."""
    for path in root.rglob("*.json"):
        if path.parent.name == "_delta_log":
            actions = [json.loads(line) for line in path.read_text().splitlines()]
            for action in actions:
                if "remove" in action:
                    action["remove"]["deletionTimestamp"] -= by_ms
                if "commitInfo" in action:
                    action["commitInfo"]["timestamp"] -= by_ms
            path.write_text("".join(f"{json.dumps(action)}\n" for action in actions))
    then = time.time() - by_ms / 1000
    for path in root.rglob("*"):
        if path.is_file():
            os.utime(path, (then, then))


def data(root: Path) -> set[Path]:
    return {path for path in (root / TABLE).rglob("*.parquet") if path.parent.name != "_delta_log"}


def by_polars(root: Path, version: int | None = None) -> list[int]:
    return (
        pl.scan_delta(str(root / TABLE), version=version)
        .select(pl.col("sequence").sort())
        .collect()["sequence"]
        .to_list()
    )


def left_by_a_killed_writer(root: Path, name: str) -> Path:
    """A file that no commit names."""
    left = next(iter(data(root))).with_name(name)
    left.write_bytes(b"half")
    return left


@pytest.mark.parametrize("age_ms", [RETENTION_MS + HOUR_MS, RETENTION_MS - HOUR_MS])
def test_files_that_nobody_needs_go_once_they_are_old_and_no_sooner(root: Path, sink: DeltaSink, age_ms: int) -> None:
    for number in range(3):
        sink.write(tools(number))
    merged_away = data(root)
    assert sink.compact().removed == 0
    old = left_by_a_killed_writer(root, "old.zstd.parquet")
    grow_older(root, age_ms)

    for number in range(3, 5):
        sink.write(tools(number))
    young = left_by_a_killed_writer(root, "young.zstd.parquet")
    before, version = data(root), DeltaTable(root / TABLE).version()
    is_old = age_ms > RETENTION_MS
    assert sink.compact().removed == (4 if is_old else 0)

    assert before - data(root) == ({*merged_away, old} if is_old else set())
    assert young in data(root)
    # The files that this compaction merged are there for those who read the state of before.
    assert by_polars(root, version) == by_polars(root) == numbers(sink) == numbers(sink_in(root)) == list(range(5))
    assert sink.compact().removed == 0
    if is_old:
        operations = [entry["operation"] for entry in DeltaTable(root / TABLE).history()]
        assert operations.count("VACUUM START") == 1, "what is gone is not removed again"


def test_a_vacuum_and_a_compaction_do_not_show_a_batch_that_is_under_way(root: Path, sink: DeltaSink) -> None:
    for number in range(3):
        sink.write(tools(number))
    sink.compact()
    grow_older(root, RETENTION_MS + HOUR_MS)
    store = FolderOfBadDays(root)
    killed = DeltaSink(store)
    killed.prepare(catalog())
    store.steps_left = 2
    with pytest.raises(InterruptedHereError):
        killed.write(tools(3))  # its data and the commit of its table, not that of the progress
    assert vacuum(Folder(root), TABLE) == 3
    assert (by_polars(root), numbers(sink_in(root))) == ([0, 1, 2, 3], [0, 1, 2])
    # Nor does a compaction, whichever files it merges; the next delivery completes the batch.
    assert sink_in(root).compact().files_after == 1
    assert (by_polars(root), numbers(sink_in(root))) == ([0, 1, 2, 3], [0, 1, 2])
    sink_in(root).write(tools(3))
    assert numbers(sink_in(root)) == [0, 1, 2, 3]


def test_the_log_is_summed_up_and_its_old_commits_go_by_themselves(
    root: Path, sink: DeltaSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "CHECKPOINT_COMMITS", 10)

    def commits() -> list[int]:
        return sorted(int(path.stem) for path in (root / TABLE / "_delta_log").glob("0*.json"))

    for number in range(15):
        sink.write(tools(number))
    assert commits()[0] == 0
    grow_older(root, RETENTION_MS + HOUR_MS)
    written = 15
    while 10 in commits() and written < 40:
        sink.write(tools(written))
        written += 1
    # What is left begins at a checkpoint, and the commits of the last week are all there.
    first = commits()[0]
    assert (root / TABLE / "_delta_log" / f"{first:020}.checkpoint.parquet").exists() or first > 10
    assert by_polars(root) == numbers(sink) == numbers(sink_in(root)) == list(range(written))
