"""What is Parquet's own: files that others read, exact without an index, pieces of batches, compaction."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import duckdb
import polars as pl
import pytest

from flowise_telemetry_cli.main import run
from flowise_telemetry_consumer.decoding.frames import frame_of
from flowise_telemetry_consumer.errors import FencedError, SinkError, SinkInUseError, SinkUnavailableError
from flowise_telemetry_consumer.sinks import Batch
from flowise_telemetry_consumer.sinks.parquet import ParquetSink
from flowise_telemetry_consumer.sinks.parquet.data_file import DataFile
from flowise_telemetry_consumer.sinks.parquet.folder import Folder
from flowise_telemetry_consumer.sinks.parquet.known_ids import KnownIds
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport.types import TopicPartition
from tests.consumer.sinks.batches import NEW_FIELDS, batch, envelope, held, sizes, with_second_version
from tests.consumer.sinks.limits import files_of_at_most
from tests.consumer.sinks.roles import open_claimed
from tests.consumer.sinks.writer_process import ROOT
from tests.schemas.records import EVENTS, record_of

TP0, TP1 = (TopicPartition("flowise.telemetry.events", number) for number in range(2))
DAY_MS = 86_400_000
START_MS = 1_700_000_000_000


class InterruptedHereError(Exception):
    pass


class FolderOfBadDays(Folder):
    """Stops after so many files, as if the process were killed there."""

    files_left = 1_000_000

    def put(self, files: Sequence[tuple[str, bytes]]) -> None:
        for file in files:
            if not self.files_left:
                raise InterruptedHereError
            self.files_left -= 1
            super().put([file])

    def delete(self, paths: Sequence[str]) -> None:
        for path in paths:
            if not self.files_left:
                raise InterruptedHereError
            self.files_left -= 1
            super().delete([path])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "events of a year"


@pytest.fixture
def sink(root: Path) -> Iterator[ParquetSink]:
    opened = sink_in(root)
    yield opened
    opened.close()


def sink_in(root: Path) -> ParquetSink:
    opened = ParquetSink(Folder(root))
    opened.prepare(catalog())
    return opened


def id_made_at(ms: int, number: int) -> str:
    return f"{ms:012x}"[:8] + "-" + f"{ms:012x}"[8:] + f"-774b-bcce-{number:012x}"


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


def numbers(sink: ParquetSink) -> list[int]:
    return sorted(number for frame in sink.read("tool_created") for number in frame["sequence"])


def files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*.parquet"))


def test_files_are_named_by_their_topic_partition_and_offsets(root: Path, sink: ParquetSink) -> None:
    sink.claim("group", [TP0, TP1])
    sink.write(replace(tools(1), offsets={TP0: 100}, source="group"))
    sink.write(replace(tools(2, 3), offsets={TP0: 250, TP1: 7}, source="group"))
    first, second = files(root)
    assert first.startswith("event=tool_created/date=2023-11-14/flowise.telemetry.events-0-100-250+flowise.telemetry")
    assert second.startswith(
        "event=tool_created/date=2023-11-14/flowise.telemetry.events-0-100.018bcfe56be8-018bcfe56be"
    )
    file = DataFile.at(first)
    assert file is not None
    assert (file.event, file.date, file.rows) == ("tool_created", "2023-11-14", 2)


def test_a_batch_of_two_days_is_a_file_for_each(root: Path, sink: ParquetSink) -> None:
    sink.write(tools(0, 1, 2, 3, ms_apart=DAY_MS // 2))
    dates = [path.split("/")[1] for path in files(root)]
    assert dates == ["date=2023-11-14", "date=2023-11-15", "date=2023-11-16"]
    assert numbers(sink) == [0, 1, 2, 3]


def test_duckdb_and_polars_read_it_as_it_is(root: Path, sink: ParquetSink) -> None:
    sink.write(batch(repeat=3))
    with duckdb.connect() as db:
        rows = db.execute(
            "SELECT event, date::VARCHAR, count(*) FROM read_parquet(?, hive_partitioning = true, union_by_name = true)"
            " GROUP BY ALL ORDER BY event",
            [f"{root}/**/*.parquet"],
        ).fetchall()
        ((target, kind),) = db.execute(
            "SELECT DISTINCT flow_graph.edges[1].target, typeof(occurred_at) FROM read_parquet(?)",
            [f"{root}/event=prediction_sent/**/*.parquet"],
        ).fetchall()
    assert rows == [(event, "2023-11-14", size) for event, size in sorted(sizes(batch(repeat=3)).items())]
    assert (target, kind) == ("conversationChain_0", "TIMESTAMP WITH TIME ZONE")
    scanned = pl.scan_parquet(root / "event=prediction_sent", hive_partitioning=True).sort("event_id").collect()
    assert scanned.drop("date").equals(batch(repeat=3).frames["prediction_sent"])


def test_the_same_records_in_other_batches_change_nothing(sink: ParquetSink, root: Path) -> None:
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
    storage = Folder(root)
    sink = ParquetSink(storage, known_ids=KnownIds(storage, max_cached_ids=max_cached_ids))
    sink.prepare(catalog())
    for apart in (1, 61_000, 7 * DAY_MS):
        sink.write(tools(*range(0, 100, 2), ms_apart=apart))
        again = sink.write(tools(*range(99, -1, -1), ms_apart=apart))
        # The number 0 is the same event each time.
        assert again.written == {"tool_created": 50}
        assert sink.write(tools(*range(100), ms_apart=apart)).written == {"tool_created": 0}
    assert sink.counts()["tool_created"] == 298


@pytest.mark.parametrize("files_left", [0, 1, 3, 4])
def test_what_is_missing_of_a_batch_that_was_cut_off_comes_with_the_next_delivery(root: Path, files_left: int) -> None:
    storage = FolderOfBadDays(root)
    sink = ParquetSink(storage)
    sink.prepare(catalog())
    storage.files_left = files_left
    with pytest.raises(InterruptedHereError):
        sink.write(batch())
    storage.files_left = 1_000_000
    assert sum(sink.counts().values()) <= sum(sizes(batch()).values())
    # The same sink, which does not know what got through, and one that was started since.
    both = Batch({event: pl.concat([frame, batch(1).frames[event]]) for event, frame in batch().frames.items()})
    for opened in (sink, sink_in(root)):
        opened.write(both)
        assert opened.counts() == {event: 2 * size for event, size in sizes(batch()).items()}


def test_what_a_killed_writer_left_aside_is_removed(root: Path, sink: ParquetSink) -> None:
    sink.write(batch())
    left = root / "_flowise_telemetry" / "aside" / "1234-0"
    left.write_bytes(b"half a file")
    sink.close()
    sink_in(root)
    assert not left.exists()
    assert sink.counts() == sizes(batch())


def test_who_takes_a_partition_over_knows_what_was_written_of_it(root: Path, sink: ParquetSink) -> None:
    other = sink_in(root)
    for opened, number in ((sink, 0), (other, 1)):
        opened.claim("group", [(TP0, TP1)[number]])
        opened.write(replace(tools(number), offsets={(TP0, TP1)[number]: 1}, source="group"))
    # What this one wrote, that one finds; its offsets were not committed.
    sink.write(replace(tools(10, 11), offsets={TP0: 3}, source="group"))
    assert other.claim("group", [TP0]) == {TP0: 3}
    result = other.write(replace(tools(10, 11, 12), offsets={TP0: 4}, source="group"))
    assert (result.written, result.duplicates) == ({"tool_created": 1}, {"tool_created": 2})
    with pytest.raises(FencedError):
        sink.write(replace(tools(13), offsets={TP0: 5}, source="group"))
    assert numbers(other) == [0, 1, 10, 11, 12]


def test_a_claim_waits_for_who_is_writing(root: Path, sink: ParquetSink) -> None:
    other = ParquetSink(Folder(root, lock_timeout_seconds=0.1))
    sink.claim("group", [TP0])
    sink.write(replace(tools(0), offsets={TP0: 1}, source="group"))
    with Folder(root).publishing():
        with pytest.raises(SinkUnavailableError, match=r"has been written by others for 0\.1 s"):
            other.claim("group", [TP0])
        sink.write(replace(tools(1), offsets={TP0: 2}, source="group"))
    assert other.claim("group", [TP0]) == {TP0: 2}


def test_compacted_files_hold_the_same_events(root: Path, sink: ParquetSink) -> None:
    for number in range(20):
        sink.write(tools(number * 2, number * 2 + 1, ms_apart=DAY_MS // 17))
    before = files(root)
    result = sink.compact()
    assert (result.files_before, result.files_after, result.duplicates) == (len(before), 4, 0)
    assert len(files(root)) == 4
    # Of the first day there was one file, which stays.
    assert sum("/compacted." in path for path in files(root)) == 3
    assert numbers(sink) == list(range(40))
    # Who has the files of before in mind finds the new ones.
    sink.close()
    assert sink.write(tools(*range(41), ms_apart=DAY_MS // 17)).written == {"tool_created": 1}
    assert sink.compact().files_after == 4
    again = sink.compact()
    assert again.files_before == again.files_after == 4


def test_a_writer_goes_on_while_files_are_compacted(root: Path) -> None:
    storage = Folder(root)
    # It remembers nothing, so that it has to look into files that are gone.
    sink = ParquetSink(storage, known_ids=KnownIds(storage, max_cached_ids=0))
    sink.prepare(catalog())
    for number in range(10):
        sink.write(tools(number))
    sink_in(root).compact()
    assert sink.write(tools(*range(12))).written == {"tool_created": 2}
    assert numbers(sink) == list(range(12))


def test_events_that_are_there_twice_are_once_after_compaction(root: Path, sink: ParquetSink) -> None:
    sink.write(tools(1, 2))
    sink.write(tools(3))
    for path in files(root):
        # As if another had not seen it.
        folder, _, name = path.rpartition("/")
        Folder(root).put([(f"{folder}/other-{name}", (root / path).read_bytes())])
    assert sink.counts()["tool_created"] == 6
    assert sink.compact().duplicates == 3
    assert numbers(sink) == [1, 2, 3]


@pytest.mark.parametrize("steps_left", range(6))
def test_a_compaction_that_is_killed_anywhere_is_finished_by_the_next_start(root: Path, steps_left: int) -> None:
    sink = sink_in(root)
    for number in range(3):
        sink.write(tools(number))
    storage = FolderOfBadDays(root)
    storage.files_left = steps_left
    with pytest.raises(InterruptedHereError):
        ParquetSink(storage).compact()
    assert numbers(sink) == [0, 1, 2]
    assert sink.counts()["tool_created"] == 3
    reader = sink_in(root)
    assert numbers(reader) == [0, 1, 2]
    assert len(files(root)) == (3 if steps_left < 2 else 1)
    assert list(root.glob("_flowise_telemetry/exchanges/*")) == []
    assert reader.write(tools(0, 1, 2, 3)).written == {"tool_created": 1}


def test_a_column_that_an_older_file_lacks_keeps_its_default_through_compaction(
    root: Path, sink: ParquetSink, tmp_path: Path
) -> None:
    new = with_second_version(tmp_path / "avro", "tool_created")
    older = [tools(number) for number in range(4)]
    for written in older:
        sink.write(written)
    newer = ParquetSink(Folder(root))
    newer.prepare([new])
    added = {field["name"]: field["default"] for field in NEW_FIELDS} | {"nodeCount": 3}
    for number in range(10, 14):
        record = {**record_of(EVENTS[3], envelope(number)), **added}
        newer.write(Batch({"tool_created": frame_of(new, [record])}))
    before = held(newer, "tool_created")
    assert newer.compact().files_after == 2
    assert held(newer, "tool_created").equals(before)
    assert sorted(before["node_count"]) == [3] * 4 + [7] * 4
    with duckdb.connect() as db:
        question = "SELECT count(node_count), count(*) FROM read_parquet(?, union_by_name = true)"
        assert db.execute(question, [f"{root}/**/*.parquet"]).fetchall() == [(4, 8)]


def test_a_reading_keeps_compaction_waiting(root: Path, sink: ParquetSink) -> None:
    for number in range(3):
        sink.write(tools(number))
    reading = sink.read("tool_created")
    next(reading)
    impatient = ParquetSink(Folder(root, lock_timeout_seconds=0.1))
    with pytest.raises(SinkUnavailableError, match=r"has been read by others for 0\.1 s"):
        impatient.compact()
    assert sum(frame.height for frame in reading) == 2
    assert impatient.compact().files_after == 1


def test_one_compaction_at_a_time(root: Path, sink: ParquetSink) -> None:
    with Folder(root).locked("compact"), pytest.raises(SinkInUseError):
        sink.compact()
    assert sink.compact().files_after == 0


def test_compact_is_a_command(
    root: Path, sink: ParquetSink, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for number in range(3):
        sink.write(tools(number))
    assert run(["compact", "--sink", sink.url]) == 0
    assert capsys.readouterr().out == f"{sink.url}: 3 files before, 1 after\n"
    assert run(["compact", "--sink", sink.url, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"files_before": 1, "files_after": 1, "duplicates": 0}
    assert run(["compact", "--sink", f"sqlite:///{tmp_path}/x.db"]) == 2
    assert "or a parquet sink" in capsys.readouterr().err


def test_files_of_others_count_too(root: Path, sink: ParquetSink) -> None:
    frame = tools(1, 2).frames["tool_created"]
    sink.write(tools(1))
    foreign = root / "event=tool_created" / "date=2023-11-14" / "mine.parquet"
    frame.filter(pl.col("sequence") == 2).write_parquet(foreign)
    (root / "event=tool_created" / "notes.txt").write_text("not data")
    sink.close()
    assert sink.write(tools(1, 2, 3)).written == {"tool_created": 1}
    assert sink.counts()["tool_created"] == 3
    assert numbers(sink) == [1, 2, 3]


def test_a_full_disk_is_an_outage(root: Path, sink: ParquetSink) -> None:
    sink.write(batch(0))
    with files_of_at_most(5_000), pytest.raises(SinkUnavailableError):
        sink.write(batch(1, repeat=1000))
    sink.write(batch(1, repeat=1000))
    assert sink.counts() == {event: size * 1001 for event, size in sizes(batch()).items()}


def test_a_folder_removed_while_open_is_told_and_made_anew(root: Path, sink: ParquetSink) -> None:
    sink.write(batch(0))
    root.rename(root.with_name("elsewhere"))
    with pytest.raises(SinkUnavailableError, match="moved or removed"):
        sink.write(batch(0))
    assert sink.write(batch(0)).written == sizes(batch())


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
    sink = open_claimed(f"parquet:///{tmp_path}/{name}")
    with pytest.raises(SinkError, match=said) as caught:
        sink.prepare(catalog())
    assert not caught.value.retryable
    assert "\n" not in str(caught.value)


def test_reading_a_folder_that_is_not_there_does_not_make_it(root: Path) -> None:
    sink = open_claimed(f"parquet:///{root}/")
    for call in (sink.counts, sink.progress, lambda: next(sink.read("tool_created"))):
        with pytest.raises(SinkError, match="there is no such folder"):
            call()
    assert not root.exists()


def test_a_file_that_is_no_parquet_is_told_without_its_text(root: Path, sink: ParquetSink) -> None:
    sink.write(tools(1))
    (root / "event=tool_created" / "date=2023-11-14" / "mine.parquet").write_text("geheim" * 10)
    for call in (sink.counts, lambda: list(sink.read("tool_created"))):
        with pytest.raises(SinkError, match="remove what is not ours") as caught:
            call()
        assert "geheim" not in str(caught.value)


def test_a_kill_between_data_and_progress_changes_nothing(root: Path) -> None:
    code = f"""
import os, signal
from dataclasses import replace
from tests.consumer.sinks.test_parquet import *
class Doomed(Folder):
    def replace(self, files):
        if files[0].before is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().replace(files)
sink = ParquetSink(Doomed(Path({str(root)!r})))
sink.prepare(catalog())
sink.claim("group", [TP0])
sink.write(replace(tools(1, 2), offsets={{TP0: 2}}, source="group"))
"""
    killed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, check=False)
    assert killed.returncode == -9
    sink = sink_in(root)
    assert sink.claim("group", [TP0]) == {}
    assert sink.write(replace(tools(1, 2, 3), offsets={TP0: 3}, source="group")).written == {"tool_created": 1}
    assert numbers(sink) == [1, 2, 3]


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


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_any_deliveries_restarts_failures_and_compactions_leave_each_event_once(root: Path, seed: int) -> None:
    chance = random.Random(seed)
    storage, written = FolderOfBadDays(root), set[int]()
    sink = ParquetSink(storage, known_ids=KnownIds(storage, max_cached_ids=chance.choice([0, 20, 1000])))
    sink.prepare(catalog())
    for _ in range(40):
        start = chance.randrange(300)
        delivered = [start + chance.randrange(-20, 20) for _ in range(chance.randrange(1, 30))]
        delivered = [abs(number) for number in delivered]
        storage.files_left = chance.choice([0, 1, 2, 1_000_000, 1_000_000])
        # Thirty minutes apart: several days.
        batch_of_tools = tools(*delivered, ms_apart=1_800_000)
        try:
            sink.write(batch_of_tools)
        except InterruptedHereError:
            storage.files_left = 1_000_000
            sink.write(batch_of_tools)
        written |= set(delivered)
        if chance.random() < 0.2:
            storage.files_left = chance.choice([0, 1, 2, 3, 5, 1_000_000])
            with contextlib.suppress(InterruptedHereError):
                (sink if chance.random() < 0.5 else ParquetSink(storage)).compact()
        storage.files_left = 1_000_000
        if chance.random() < 0.2:
            sink.close()
            sink = ParquetSink(storage)
            sink.prepare(catalog())
        assert numbers(sink) == sorted(written)
        assert sink.counts()["tool_created"] == len(written)
