"""What is Delta's own: tables that others read, exact without an index, pieces of batches, compaction, promotion."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable, Schema, write_deltalake
from deltalake.schema import Field, PrimitiveType

from flowise_telemetry_cli.main import run
from flowise_telemetry_consumer.decoding.frames import frame_of
from flowise_telemetry_consumer.errors import FencedError, SinkError, SinkInUseError, SinkUnavailableError
from flowise_telemetry_consumer.sinks import Batch
from flowise_telemetry_consumer.sinks.delta import DeltaSink
from flowise_telemetry_consumer.sinks.delta.event_table import EventTable
from flowise_telemetry_consumer.sinks.delta.folder import Folder
from flowise_telemetry_consumer.sinks.delta.log import CHECKPOINT_COMMITS
from flowise_telemetry_consumer.sinks.erasures import ErasedIds
from flowise_telemetry_schemas import ToolCreated, catalog
from flowise_telemetry_transport.types import TopicPartition
from tests.consumer.sinks.bad_days import MANY, BadDays, InterruptedHereError
from tests.consumer.sinks.batches import (
    NEW_FIELDS,
    batch,
    batch_of,
    envelope,
    held,
    id_made_at,
    sizes,
    with_second_version,
)
from tests.consumer.sinks.limits import files_of_at_most
from tests.consumer.sinks.roles import open_claimed
from tests.consumer.sinks.writer_process import ROOT
from tests.schemas.records import ENVELOPE, EVENTS, FLOW_ID, record_of
from tests.thoroughness import IS_CI

pytestmark = pytest.mark.slow  # each case makes tables and files of its own

TP0, TP1 = (TopicPartition("flowise.telemetry.events", number) for number in range(2))
DAY_MS = 86_400_000
START_MS = 1_700_000_000_000


class FolderOfBadDays(BadDays, Folder):
    """A folder whose process is killed after so many steps."""


class FolderOfLostReads(Folder):
    """Fails at the n-th reading of a file that has this in its path, once."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.lost: tuple[str, int] | None = None

    def read(self, path: str) -> bytes | None:
        if self.lost and self.lost[0] in path:
            self.lost = (self.lost[0], self.lost[1] - 1)
            if not self.lost[1]:
                self.lost = None
                raise InterruptedHereError
        return super().read(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.fixture
def sink(root: Path) -> Iterator[DeltaSink]:
    opened = sink_in(root)
    yield opened
    opened.close()


def sink_in(root: Path) -> DeltaSink:
    opened = DeltaSink(Folder(root))
    opened.prepare(catalog())
    return opened


def tools(*numbers: int, ms_apart: int = 1000) -> Batch:
    """``tool_created`` events with these numbers, so far apart in time."""
    record = record_of(EVENTS[3], envelope(0))
    records = [
        {
            **record,
            "eventId": id_made_at(START_MS + number * ms_apart, number),
            "occurredAt": START_MS + number * ms_apart,
            "sequence": number,
        }
        for number in numbers
    ]
    return Batch(frames={"tool_created": frame_of(catalog().latest("tool_created"), records)})


def of_group(partition: TopicPartition, *delivered: int, source: str = "group") -> Batch:
    return replace(tools(*delivered), offsets={partition: delivered[-1] + 1}, source=source)


def numbers(sink: DeltaSink) -> list[int]:
    return sorted(number for frame in sink.read("tool_created") for number in frame["sequence"])


def files(root: Path, table: str = "tool_created") -> list[str]:
    """The data files of the newest version."""
    return sorted(DeltaTable(root / table).file_uris())


def test_a_table_is_partitioned_by_date_and_its_log_tells_ids_and_times(root: Path, sink: DeltaSink) -> None:
    sink.write(tools(3, 0, 1, 2, ms_apart=DAY_MS // 2))
    table = DeltaTable(root / "tool_created")
    told = pl.DataFrame(table.get_add_actions(flatten=True)).sort("path")
    assert [str(date) for date in told["partition.date"]] == ["2023-11-14", "2023-11-15", "2023-11-16"]
    assert told["num_records"].to_list() == [1, 2, 1]
    assert told["min.event_id"][0] == id_made_at(START_MS, 0)
    assert told["max.occurred_at"].cast(pl.Int64)[1] == (START_MS + DAY_MS) * 1000
    for path in files(root):
        assert pl.read_parquet(path)["event_id"].is_sorted()
    assert numbers(sink) == [0, 1, 2, 3]


def test_files_are_named_by_their_topic_partition_and_offsets_however_long_the_topic(root: Path) -> None:
    sink, topic = sink_in(root), TopicPartition("t" * 249, 3)
    sink.claim("group", [topic, TP0])
    sink.write(replace(tools(1), offsets={topic: 100}, source="group"))
    sink.write(replace(tools(2), offsets={topic: 250, TP0: 7}, source="group"))
    names = sorted(Path(path).name for path in files(root))
    assert names[1].startswith(f"{'t' * 60}-3-100-")
    assert names[0].startswith(f"flowise.telemetry.events-0-7_{'t' * 60}-3-100-250-")
    assert max(map(len, names)) < 200
    assert sink.claim("group", [topic]) == {topic: 250}


def test_polars_and_deltalake_read_it_as_it_is(root: Path, sink: DeltaSink) -> None:
    sink.write(batch(repeat=3))
    for event, frame in batch(repeat=3).frames.items():
        scanned = pl.scan_delta(root / event).sort("event_id").collect().drop("date")
        assert scanned.with_columns(pl.col("occurred_at").dt.cast_time_unit("ms")).equals(frame)
    table = DeltaTable(root / "prediction_sent")
    assert table.count() == sizes(batch(repeat=3))["prediction_sent"]
    assert table.history(1)[0]["engineInfo"] == "flowise-telemetry"


def test_the_name_of_a_folder_may_be_odd(tmp_path: Path) -> None:
    sink = sink_in(tmp_path / "events of ü, 100%")
    sink.write(batch())
    assert sink_in(tmp_path / "events of ü, 100%").write(batch()).duplicates == sizes(batch())
    assert sink.compact().files_after == len(batch().frames)


def test_the_log_records_the_next_offsets_as_the_protocol_has_it(root: Path, sink: DeltaSink) -> None:
    sink.claim("group", [TP0])
    sink.write(of_group(TP0, 1, 2))
    application = json.dumps(["flowise_telemetry", "group", *TP0])
    assert DeltaTable(root / "tool_created").transaction_version(application) == 3


def test_the_same_records_in_other_batches_change_nothing(sink: DeltaSink, root: Path) -> None:
    for start in range(0, 60, 10):
        sink.write(tools(*range(start, start + 10)))
    for opened in (sink, sink_in(root)):
        before = files(root)
        for start in range(0, 60, 7):
            assert opened.write(tools(*range(start, min(start + 7, 60)))).written == {"tool_created": 0}
        assert files(root) == before
        assert numbers(opened) == list(range(60))
    assert sink.write(tools(*range(55, 70))).written == {"tool_created": 10}


@pytest.mark.parametrize("max_cached_ids", [0, 5, 1_000])
def test_it_is_exact_whatever_the_ids_and_however_little_is_remembered(root: Path, max_cached_ids: int) -> None:
    sink = DeltaSink(Folder(root), max_cached_ids=max_cached_ids)
    sink.prepare(catalog())
    for apart in (1, 61_000, 7 * DAY_MS):
        sink.write(tools(*range(0, 100, 2), ms_apart=apart))
        again = sink.write(tools(*range(99, -1, -1), ms_apart=apart))
        # The number 0 is the same event each time.
        assert again.written == {"tool_created": 50}
        assert sink.write(tools(*range(100), ms_apart=apart)).written == {"tool_created": 0}
    assert sink.counts()["tool_created"] == 298


@pytest.mark.parametrize("steps_left", range(11))
def test_a_batch_that_is_cut_off_anywhere_is_not_shown_and_completed_by_the_next_delivery(
    root: Path, steps_left: int
) -> None:
    store = FolderOfBadDays(root)
    sink = DeltaSink(store)
    sink.prepare(catalog())
    sink.claim("group", [TP0])
    sink.write(replace(batch(0), offsets={TP0: 1}, source="group"))
    store.steps_left = steps_left
    with pytest.raises(InterruptedHereError):
        sink.write(replace(batch(1), offsets={TP0: 2}, source="group"))
    store.steps_left = MANY
    reader = open_claimed(f"delta:///{root}")
    assert reader.counts() == sizes(batch())
    assert held(reader, "tool_created").equals(batch(0).frames["tool_created"])
    # A successor in the one case, and the same sink, which does not know what got through, in the other.
    for opened in (sink_in(root), sink):
        offset = opened.claim("group", [TP0])[TP0]
        opened.write(replace(batch(offset), offsets={TP0: offset + 1}, source="group"))
        assert opened.counts() == {event: (offset + 1) * size for event, size in sizes(batch()).items()}
        assert DeltaTable(root / "tool_created").count() == (offset + 1) * sizes(batch())["tool_created"]


def test_a_writer_that_was_overtaken_in_the_middle_is_fenced_and_nothing_of_it_is_there(root: Path) -> None:
    """It looked at its claim, then stood still while another claimed; it commits to the log first."""
    successor = sink_in(root)

    class Overtaken(Folder):
        armed = False

        def create(self, path: str, data: bytes) -> bool:
            if self.armed and b'"WRITE"' in data:
                self.armed = False
                successor.claim("group", [TP0])
            return super().create(path, data)

    store = Overtaken(root)
    zombie = DeltaSink(store)
    zombie.prepare(catalog())
    zombie.claim("group", [TP0])
    zombie.write(of_group(TP0, 0))
    store.armed = True
    before = list((root / "tool_created").rglob("*.parquet"))
    with pytest.raises(FencedError):
        zombie.write(of_group(TP0, 1))
    assert list((root / "tool_created").rglob("*.parquet")) == before
    assert DeltaTable(root / "tool_created").count() == 1
    assert successor.claim("group", [TP0]) == {TP0: 1}
    assert successor.write(of_group(TP0, 0, 1, 2)).written == {"tool_created": 2}


def test_a_claim_of_another_partition_does_not_stop_a_writer(root: Path) -> None:
    other = sink_in(root)

    class Disturbed(Folder):
        def create(self, path: str, data: bytes) -> bool:
            if b'"WRITE"' in data and not path.endswith("never"):
                other.claim("group", [TP1])
            return super().create(path, data)

    store = Disturbed(root)
    sink = DeltaSink(Folder(root))
    sink.prepare(catalog())
    sink.claim("group", [TP0])
    sink._store = store
    assert sink.write(of_group(TP0, 0, 1)).written == {"tool_created": 2}
    assert numbers(sink) == [0, 1]


def test_what_is_written_is_on_the_disk_with_its_names(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for a power cut: what was not brought to the disk would be gone."""
    sink = sink_in(root)
    synced: set[int] = set()
    fsync = os.fsync

    def note(descriptor: int) -> None:
        synced.add(os.stat(descriptor).st_ino)
        fsync(descriptor)

    before = {path for path in root.rglob("*") if path.is_file()}
    monkeypatch.setattr(os, "fsync", note)
    sink.write(batch())
    new = {path for path in root.rglob("*") if path.is_file()} - before
    assert len(new) == 2 * (len(batch().frames) + 1)
    wanted = {*new, *(path.parent for path in new)}
    assert {path for path in wanted if path.stat().st_ino not in synced} == set()


def test_a_table_of_many_commits_has_checkpoints_and_opens_again(root: Path, sink: DeltaSink) -> None:
    for number in range(CHECKPOINT_COMMITS + 3):
        sink.write(tools(number))
    assert (root / "tool_created" / "_delta_log" / "_last_checkpoint").exists()
    assert (root / "flowise_telemetry_progress" / "_delta_log" / "_last_checkpoint").exists()
    assert numbers(sink) == list(range(CHECKPOINT_COMMITS + 3))
    assert sink_in(root).write(tools(*range(200))).duplicates == {"tool_created": CHECKPOINT_COMMITS + 3}


def test_a_checkpoint_that_cannot_be_written_is_a_warning(
    root: Path, sink: DeltaSink, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(table: object) -> None:
        raise OSError("no")

    monkeypatch.setattr(DeltaTable, "create_checkpoint", refuse)
    with caplog.at_level(logging.WARNING):
        for number in range(CHECKPOINT_COMMITS + 1):
            sink.write(tools(number))
    assert "no checkpoint of the table tool_created (OSError)" in caplog.text
    assert numbers(sink_in(root)) == list(range(CHECKPOINT_COMMITS + 1))


def test_merged_files_hold_the_same_events(root: Path, sink: DeltaSink) -> None:
    for number in range(20):
        sink.write(tools(number * 2, number * 2 + 1, ms_apart=DAY_MS // 17))
    before = len(files(root))
    result = sink.compact()
    assert (result.files_before, result.files_after) == (before, 4)
    assert len(files(root)) == 4
    assert sum("/merged-" in path for path in files(root)) == 3
    assert numbers(sink) == list(range(40))
    assert sink.write(tools(*range(41), ms_apart=DAY_MS // 17)).written == {"tool_created": 1}
    again = sink_in(root)
    assert again.write(tools(*range(41), ms_apart=DAY_MS // 17)).written == {"tool_created": 0}
    assert again.compact().files_after == 4
    assert again.compact().files_before == 4


def test_a_writer_and_a_reading_go_on_while_files_are_merged(root: Path) -> None:
    # It remembers nothing, so that it has to look into files.
    sink = DeltaSink(Folder(root), max_cached_ids=0)
    sink.prepare(catalog())
    for number in range(10):
        sink.write(tools(number))
    reading = sink.read("tool_created")
    seen = next(reading).height
    sink_in(root).compact()
    assert sink.write(tools(*range(12))).written == {"tool_created": 2}
    assert seen + sum(frame.height for frame in reading) == 10
    assert numbers(sink) == list(range(12))


@pytest.mark.parametrize("steps_left", range(3))
def test_a_compaction_that_is_killed_anywhere_changes_nothing(root: Path, steps_left: int) -> None:
    sink = sink_in(root)
    for number in range(3):
        sink.write(tools(number))
    store = FolderOfBadDays(root)
    store.steps_left = steps_left
    with pytest.raises(InterruptedHereError):
        DeltaSink(store).compact()
    for reader in (sink, sink_in(root)):
        assert numbers(reader) == [0, 1, 2]
    assert sink.write(tools(0, 1, 2, 3)).written == {"tool_created": 1}
    assert sink_in(root).compact().files_after == 1


def test_a_column_that_an_older_file_lacks_keeps_its_default_through_compaction(
    root: Path, sink: DeltaSink, tmp_path: Path
) -> None:
    new = with_second_version(tmp_path / "avro", "tool_created")
    for number in range(4):
        sink.write(tools(number))
    newer = sink_in(root)
    newer.prepare([new])
    added = {field["name"]: field["default"] for field in NEW_FIELDS} | {"nodeCount": 3}
    for number in range(10, 14):
        record = {**record_of(EVENTS[3], envelope(number)), **added}
        newer.write(Batch({"tool_created": frame_of(new, [record])}))
    sink.write(tools(5))
    before = held(newer, "tool_created")
    assert newer.compact().files_after == 1
    assert held(newer, "tool_created").equals(before)
    assert sorted(before["node_count"]) == [3] * 4 + [7] * 5
    assert pl.scan_delta(root / "tool_created").select("note").collect()["note"].null_count() == 0


def test_an_older_compaction_leaves_files_with_newer_columns_alone(root: Path, sink: DeltaSink, tmp_path: Path) -> None:
    new = with_second_version(tmp_path / "avro", "tool_created")
    newer = sink_in(root)
    newer.prepare([new])
    added = {field["name"]: field["default"] for field in NEW_FIELDS} | {"nodeCount": 3}
    for number in range(10, 14):
        record = {**record_of(EVENTS[3], envelope(number)), **added}
        newer.write(Batch({"tool_created": frame_of(new, [record])}))
    before = held(newer, "tool_created")
    sink_in(root).compact()
    assert held(newer, "tool_created").equals(before)


def test_one_compaction_at_a_time(root: Path, sink: DeltaSink) -> None:
    locked = Folder(root)
    locked.lock("compact")
    with pytest.raises(SinkInUseError):
        sink.compact()
    locked.release()
    assert sink.compact().files_after == 0


def test_compact_is_a_command(root: Path, sink: DeltaSink, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for number in range(3):
        sink.write(tools(number))
    assert run(["compact", "--sink", sink.url]) == 0
    assert capsys.readouterr().out == f"{sink.url}: 3 files before, 1 after, 0 unused removed\n"
    assert run(["compact", "--sink", sink.url, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"files_before": 1, "files_after": 1, "removed": 0}
    assert run(["compact", "--sink", "jsonl:-"]) == 2
    assert "has nothing to compact" in capsys.readouterr().err
    assert run(["compact", "--sink", f"sqlite:///{tmp_path}/typo.db"]) == 1
    assert "there is no such file" in capsys.readouterr().err
    assert not (tmp_path / "typo.db").exists()


def test_rows_and_merges_of_others_count(root: Path, sink: DeltaSink) -> None:
    sink.write(tools(1))
    sink.write(tools(5))
    row = tools(2).frames["tool_created"].with_columns(pl.col("occurred_at").dt.date().alias("date"))
    write_deltalake(root / "tool_created", row, mode="append")
    assert sink.write(tools(1, 2, 3)).written == {"tool_created": 1}
    assert numbers(sink) == [1, 2, 3, 5]
    DeltaTable(root / "tool_created").optimize.compact()
    DeltaTable(root / "tool_created").delete("sequence = 5")
    for opened in (sink, sink_in(root)):
        assert numbers(opened) == [1, 2, 3]
        assert opened.write(tools(1, 2, 3)).written == {"tool_created": 0}


def test_a_full_disk_is_an_outage(root: Path, sink: DeltaSink) -> None:
    sink.write(batch(0))
    with files_of_at_most(5_000), pytest.raises(SinkUnavailableError):
        sink.write(batch(1, repeat=1000))
    sink.write(batch(1, repeat=1000))
    assert sink.counts() == {event: size * 1001 for event, size in sizes(batch()).items()}


def test_a_folder_removed_while_open_is_told_and_made_anew(root: Path, sink: DeltaSink) -> None:
    sink.write(batch(0))
    root.rename(root.with_name("elsewhere"))
    with pytest.raises(SinkUnavailableError, match="moved or removed"):
        sink.write(batch(0))
    assert sink.write(batch(0)).written == sizes(batch())


def test_a_table_that_others_put_back_while_it_is_open_gets_no_gap_in_its_log(root: Path, sink: DeltaSink) -> None:
    sink.write(tools(1))
    log = root / "tool_created" / "_delta_log"
    for commit in sorted(log.glob("*.json"))[1:]:
        commit.unlink()
    with pytest.raises(SinkUnavailableError, match="tool_created was moved or removed"):
        sink.write(tools(2))
    assert sink.write(tools(1, 2)).written == {"tool_created": 2}
    assert DeltaTable(root / "tool_created").version() == 1


def test_a_table_that_was_restored_from_a_copy_is_told(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    sink = sink_in(root)
    sink.write(tools(1))
    sink.write(tools(2))
    max((root / "tool_created" / "_delta_log").glob("*.json")).unlink()
    with caplog.at_level(logging.WARNING):
        again = sink_in(root)
    assert caplog.text.count("it was restored from a copy") == 1
    assert "tool_created is of version 1, and 2 was recorded" in caplog.text
    assert numbers(again) == [1]
    assert again.write(tools(1, 2)).written == {"tool_created": 1}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing/events", "make the folder .*missing first"),
        ("file", "name a folder"),
        ("file/events", "name a folder"),
    ],
)
def test_a_folder_that_cannot_be_used_is_one_clear_line(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "file").write_text("not a folder")
    sink = open_claimed(f"delta:///{tmp_path}/{name}")
    with pytest.raises(SinkError, match=said) as caught:
        sink.prepare(catalog())
    assert not caught.value.retryable
    assert "\n" not in str(caught.value)


def test_reading_a_folder_that_is_not_there_does_not_make_it(root: Path) -> None:
    sink = open_claimed(f"delta:///{root}/")
    for call in (sink.counts, sink.progress, lambda: next(sink.read("tool_created"))):
        with pytest.raises(SinkError, match="there is no such folder"):
            call()
    assert not root.exists()


def test_a_commit_that_is_cut_off_is_told(root: Path, sink: DeltaSink) -> None:
    sink.write(tools(1))
    last = max((root / "tool_created" / "_delta_log").glob("*.json"))
    (last.parent / f"{int(last.stem) + 1:020}.json").write_text('{"add":{"path":"geheim')
    for prepare in (sink.prepare, DeltaSink(Folder(root)).prepare):
        with pytest.raises(SinkError) as caught:
            prepare(catalog())
        assert "geheim" not in str(caught.value)
        assert "tool_created" in str(caught.value) or "a table that cannot be read" in str(caught.value)
        assert not caught.value.retryable


def _with_another_type(root: Path) -> None:
    fields = [Field("event_id", PrimitiveType("string")), Field("sequence", PrimitiveType("string"))]
    DeltaTable.create(
        root / "tool_created", Schema([*fields, Field("date", PrimitiveType("date"))]), partition_by=["date"]
    )


def _unpartitioned(root: Path) -> None:
    DeltaTable.create(root / "tool_created", Schema([Field("event_id", PrimitiveType("string"))]))


def _with_a_feature(root: Path) -> None:
    sink_in(root).close()
    from deltalake import TableFeatures

    DeltaTable(root / "tool_created").alter.add_feature(
        TableFeatures.DeletionVectors, allow_protocol_versions_increase=True
    )


@pytest.mark.parametrize(
    ("alter", "said"),
    [
        (_with_another_type, "its column sequence has another type"),
        (_unpartitioned, "it is not partitioned by date"),
        (_with_a_feature, "it needs .*deletionVectors"),
    ],
)
def test_a_table_that_others_altered_is_one_clear_line(root: Path, alter: Any, said: str) -> None:
    alter(root)
    with pytest.raises(SinkError, match=f"the table tool_created was altered by others: {said}") as caught:
        sink_in(root)
    assert not caught.value.retryable
    assert "\n" not in str(caught.value)


def test_a_table_that_is_altered_while_it_is_open_is_told(root: Path, sink: DeltaSink) -> None:
    sink.write(tools(1))
    _with_a_feature(root)
    with pytest.raises(SinkError, match="was altered by others"):
        sink.write(tools(2))


def test_a_kill_between_data_and_progress_changes_nothing(root: Path) -> None:
    code = f"""
import os, signal
from tests.consumer.sinks.test_delta import *
class Doomed(Folder):
    def create(self, path, data):
        if path.startswith("flowise_telemetry_progress") and armed:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().create(path, data)
armed = False
sink = DeltaSink(Doomed(Path({str(root)!r})))
sink.prepare(catalog())
sink.claim("group", [TP0])
armed = True
sink.write(of_group(TP0, 1, 2))
"""
    killed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, check=False)
    assert killed.returncode == -9
    sink = sink_in(root)
    assert sink.claim("group", [TP0]) == {}
    assert numbers(sink) == []
    assert sink.write(of_group(TP0, 1, 2, 3)).written == {"tool_created": 1}
    assert numbers(sink) == [1, 2, 3]


def test_a_promotion_that_is_killed_anywhere_is_finished_by_whoever_comes_next(root: Path, tmp_path: Path) -> None:
    finished = False
    for steps_left in range(0, 200, 1 if IS_CI else 4):
        place = tmp_path / str(steps_left)
        live = sink_in(place)
        live.claim("group", [TP0])
        live.write(of_group(TP0, 0, 1))
        staging = live.staging("next")
        staging.prepare(catalog())
        staging.write(tools(7, 8, 9))
        store = FolderOfBadDays(place)
        store.steps_left = steps_left
        try:
            DeltaSink(store).promote("next")
            finished = True
        except InterruptedHereError:
            pass
        # All of the old or all of the new, and after the next call all of the new if it had begun.
        began = DeltaTable(place / "flowise_telemetry_progress").version() > 4
        assert numbers(live) == ([7, 8, 9] if finished else [0, 1]) or began
        comer = (live, staging, sink_in(place))[steps_left % 3]
        comer.claim("another", [TP1])
        if numbers(live) == [7, 8, 9]:
            assert numbers(live.staging("next")) == [0, 1]
            assert live.write(of_group(TP0, 0, 1, 9)).written == {"tool_created": 2}
        else:
            assert numbers(live.staging("next")) == [7, 8, 9]
            assert steps_left < 2
        if finished:
            break
    assert finished
    assert steps_left > 20


@pytest.mark.slow
@pytest.mark.parametrize("steps_left", [3, 7, 40] if IS_CI else [7])
def test_two_that_finish_one_promotion_record_what_either_exchanged(root: Path, steps_left: int) -> None:
    """At each opening of a table another process goes on with the promotion, and is killed after some steps."""

    class Overtaken(Folder):
        opens_left = 0

        def location(self, table: str) -> str:
            self.opens_left -= 1
            if self.opens_left == 0:
                store = FolderOfBadDays(root)
                store.steps_left = steps_left
                with contextlib.suppress(InterruptedHereError):
                    DeltaSink(store).prepare([])
            return super().location(table)

    live = sink_in(root)
    live.write(tools(0, 1))
    staging = live.staging("next")
    staging.prepare([catalog().latest("tool_created")])
    staging.write(tools(7, 8, 9))
    sets = [[0, 1], [7, 8, 9]]
    store, opens = Overtaken(root), 0
    while store.opens_left <= 0:
        opens += 1 if IS_CI else 3
        store.opens_left = opens
        DeltaSink(store).promote("next")
        sets.reverse()
        assert [numbers(live), numbers(staging)] == sets
    assert opens > 5


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5 if IS_CI else 1))
def test_any_deliveries_restarts_failures_and_compactions_leave_each_event_once(root: Path, seed: int) -> None:
    chance = random.Random(seed)
    store, written = FolderOfBadDays(root), set[int]()
    sink = DeltaSink(store, max_cached_ids=chance.choice([0, 20, 1000]))
    sink.prepare(catalog())
    for _ in range(40):
        start = chance.randrange(300)
        delivered = [start + chance.randrange(-20, 20) for _ in range(chance.randrange(1, 30))]
        delivered = [abs(number) for number in delivered]
        store.steps_left = chance.choice([0, 1, 2, 3, MANY, MANY])
        # Thirty minutes apart: several days.
        batch_of_tools = tools(*delivered, ms_apart=1_800_000)
        try:
            sink.write(batch_of_tools)
        except InterruptedHereError:
            store.steps_left = MANY
            sink.write(batch_of_tools)
        written |= set(delivered)
        if chance.random() < 0.2:
            store.steps_left = chance.choice([0, 1, 2, 3, 5, MANY])
            with contextlib.suppress(InterruptedHereError):
                (sink if chance.random() < 0.5 else DeltaSink(store)).compact()
        store.steps_left = MANY
        if chance.random() < 0.2:
            sink.close()
            sink = DeltaSink(store)
            sink.prepare(catalog())
        assert numbers(sink) == sorted(written)
        assert sink.counts()["tool_created"] == len(written)


def test_consumers_of_a_group_write_side_by_side_and_take_each_others_place(root: Path) -> None:
    """Each its partition at once, then each the next one's, from where its offsets were committed: nowhere yet."""
    partitions = [TopicPartition("flowise.telemetry.events", number) for number in range(3)]
    failures: list[Exception] = []

    def consume(partition: int) -> None:
        try:
            sink = sink_in(root)
            sink.claim("group", [partitions[partition]])
            for number in range(partition * 100, partition * 100 + 100, 10):
                offsets = {partitions[partition]: number + 10}
                sink.write(replace(tools(*range(number, number + 10)), offsets=offsets, source="group"))
            sink.close()
        except Exception as error:
            failures.append(error)

    for shift in range(2):
        threads = [threading.Thread(target=consume, args=((number + shift) % 3,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert failures == []
        assert numbers(sink_in(root)) == list(range(300))


@pytest.mark.parametrize("reading", [1, 2, 3])
def test_a_look_at_the_log_that_fails_in_the_middle_forgets_nothing(root: Path, reading: int) -> None:
    """Commits that were read before the failure count: their ids, too."""
    store, other = FolderOfLostReads(root), sink_in(root)
    sink = DeltaSink(store)
    sink.prepare(catalog())
    sink.write(tools(0))
    sink.write(tools(1))  # its minute is in memory now
    other.write(tools(2))
    other.write(tools(3))
    store.lost = ("tool_created/_delta_log", reading)
    with pytest.raises(InterruptedHereError):
        sink.write(tools(2, 3, 4))
    assert sink.write(tools(2, 3, 4)).written == {"tool_created": 1}
    assert numbers(sink) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("reading", range(1, 5))
def test_a_look_at_the_progress_that_fails_in_the_middle_leaves_the_fence_up(root: Path, reading: int) -> None:
    store, other = FolderOfLostReads(root), sink_in(root)
    sink = DeltaSink(store)
    sink.prepare(catalog())
    sink.claim("group", [TP0])
    sink.write(of_group(TP0, 0))
    other.claim("group", [TP0])
    other.write(of_group(TP0, 1))
    store.lost = ("flowise_telemetry_progress/", reading)
    with pytest.raises(InterruptedHereError):
        sink.write(of_group(TP0, 2))
    with pytest.raises(FencedError):
        sink.write(of_group(TP0, 2))
    assert other.claim("group", [TP0]) == {TP0: 2}
    assert numbers(other) == [0, 1]


def test_a_first_look_at_the_progress_that_fails_does_not_empty_it(root: Path) -> None:
    first = sink_in(root)
    first.claim("group", [TP0])
    first.write(of_group(TP0, 0))
    store = FolderOfLostReads(root)
    sink = DeltaSink(store)
    store.lost = ("flowise_telemetry_progress/", 1)
    with pytest.raises(InterruptedHereError):
        sink.prepare(catalog())
    sink.prepare(catalog())
    assert sink.claim("group", [TP0]) == {TP0: 1}


def test_a_promotion_after_the_progress_was_removed_exchanges_the_tables(root: Path) -> None:
    live = sink_in(root)
    live.write(tools(1))
    staging = live.staging("next")
    staging.prepare(catalog())
    staging.write(tools(2, 3))
    live.promote("next")
    live.promote("next")
    assert numbers(sink_in(root)) == [1]
    shutil.rmtree(root / "flowise_telemetry_progress")
    live = sink_in(root)
    live.promote("next")
    assert numbers(live) == [2, 3]
    live.promote("next")
    assert numbers(sink_in(root)) == [1]


class FolderInTurns(Folder):
    """Calls back before the first commit of ``prediction_sent`` after its creation."""

    turn: Callable[[], None] | None = None

    def create(self, path: str, data: bytes) -> bool:
        if self.turn is not None and path.startswith("prediction_sent/_delta_log/"):
            turn, self.turn = self.turn, None
            turn()
        return super().create(path, data)


def test_an_erasure_shows_to_a_writer_in_the_middle_of_a_batch(tmp_path: Path) -> None:
    folder = FolderInTurns(tmp_path / "events")
    writer, eraser = DeltaSink(folder), sink_in(tmp_path / "events")
    writer.prepare(catalog())
    chosen = ErasedIds.of({"instance_id": [ENVELOPE.instance_id]})
    removed: Counter[str] = Counter()

    def erase() -> None:
        for step in eraser.erase(chosen):
            removed.update(step)

    folder.turn = erase
    result = writer.write(batch())
    assert set(removed) == {"assistant_created", "chatflow_created"}  # what was committed before
    assert (result.erased, sum(result.written.values()), sum(result.duplicates.values())) == (sizes(batch()), 0, 0)
    assert sum(eraser.counts().values()) == 0


def test_a_table_that_a_promotion_brings_is_seen_when_it_ends(root: Path) -> None:
    live = DeltaSink(Folder(root))
    live.prepare([catalog().latest("tool_created")])
    live.write(tools(1))
    staging = live.staging("next")
    staging.prepare(catalog())
    staging.write(batch(0))
    seen = []

    class Watched(Folder):
        def create(self, path: str, data: bytes) -> bool:
            created = super().create(path, data)
            seen.append(DeltaSink(Folder(root)).counts())
            return created

    DeltaSink(Watched(root)).promote("next")
    assert all(counts in ({"tool_created": 1}, sizes(batch(0))) for counts in seen)
    assert seen[-1] == sizes(batch(0))


def test_a_fence_that_a_look_up_walked_past_counts_all_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, eraser = sink_in(root), sink_in(root)
    writer.prepare(catalog())
    first = batch_of((ToolCreated(version="3.0.1", tool_id=FLOW_ID, tool_name="a"), envelope(1)))
    writer.write(first)
    both = batch_of(
        *((ToolCreated(version="3.0.1", tool_id=FLOW_ID, tool_name="a"), envelope(number)) for number in (1, 2))
    )
    (late,) = set(both.frames["tool_created"]["event_id"]) - set(first.frames["tool_created"]["event_id"])
    pending = EventTable.pending

    def erased_before_the_look_up(self: EventTable, *arguments: Any) -> Any:
        monkeypatch.setattr(EventTable, "pending", pending)
        list(eraser.erase(ErasedIds.of({"event_id": [late]})))
        return pending(self, *arguments)

    monkeypatch.setattr(EventTable, "pending", erased_before_the_look_up)
    result = writer.write(both)
    assert (result.written["tool_created"], result.erased) == (0, {"tool_created": 1})
    assert held(sink_in(root), "tool_created").height == 1
