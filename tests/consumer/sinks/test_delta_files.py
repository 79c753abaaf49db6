"""Which files of a table may hold an id, and which are read for a batch."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from flowise_telemetry_consumer.decoding.frames import frame_of
from flowise_telemetry_consumer.sinks import Batch
from flowise_telemetry_consumer.sinks.delta import DeltaSink
from flowise_telemetry_consumer.sinks.delta.data_file import DataFile
from flowise_telemetry_consumer.sinks.delta.files import MINUTE_DIGITS, Files, minutes_of
from flowise_telemetry_consumer.sinks.delta.folder import Folder
from flowise_telemetry_consumer.sinks.delta.known_ids import MAX_CACHED_IDS, _ReadFiles
from flowise_telemetry_consumer.sinks.row_files import parquet_rows
from flowise_telemetry_schemas import catalog
from tests.consumer.sinks.batches import envelope, id_made_at
from tests.schemas.records import EVENTS, record_of

MINUTE_MS = 1 << 16
START_MS = 0x01890A5D0000
TOOLS = next(event for event in EVENTS if event.EVENT == "tool_created")


class CountingFolder(Folder):
    """Counts the data files that are looked into."""

    scanned = 0

    def scan(self, paths: Sequence[str]) -> pl.LazyFrame:
        self.scanned += len(paths)
        return super().scan(paths)

    def fetch(self, paths: Sequence[str]) -> list[bytes]:
        self.scanned += len(paths)
        return super().fetch(paths)


def tools(first: int, *made_ms: int) -> Batch:
    made = [
        {**record_of(TOOLS, envelope(number)), "eventId": id_made_at(at, number)}
        for number, at in enumerate(made_ms, start=first)
    ]
    return Batch({"tool_created": frame_of(catalog().latest("tool_created"), made)})


def minute(number: int) -> list[int]:
    return [START_MS + number * MINUTE_MS + at for at in range(0, 60_000, 20_000)]


def sink_on(root: Path, max_cached_ids: int = MAX_CACHED_IDS) -> tuple[DeltaSink, CountingFolder]:
    store = CountingFolder(root)
    sink = DeltaSink(store, max_cached_ids=max_cached_ids)
    sink.prepare([catalog().latest("tool_created")])
    return sink, store


@pytest.mark.parametrize("seed", range(3))
def test_no_file_is_overlooked(seed: int) -> None:
    rng = random.Random(seed)
    files, plain = Files(), dict[str, DataFile]()
    for number in range(300):
        first = START_MS + rng.randrange(40_000) * MINUTE_MS
        last = first + rng.choice([0, 1, 60, 24 * 60, 400 * 24 * 60]) * MINUTE_MS + rng.randrange(MINUTE_MS)
        ids = (id_made_at(first, 0), id_made_at(last, 1)) if rng.random() > 0.05 else (None, None)
        file = DataFile.of(f"{rng.randrange(200)}.parquet", rows=2 if ids[0] else None, ids=ids)
        files.add(file)
        plain[file.path] = file
        if number % 3 == 0:
            gone = f"{rng.randrange(200)}.parquet"
            files.discard(gone)
            plain.pop(gone, None)
    assert dict(files) == plain
    for _ in range(200):
        minutes = sorted({f"{START_MS + rng.randrange(41_000) * MINUTE_MS:012x}"[:MINUTE_DIGITS] for _ in range(9)})
        wanted = {path for path, file in plain.items() if minutes_of(file, minutes)}
        naive = {
            path
            for path, file in plain.items()
            if any(file.first[:MINUTE_DIGITS] <= its <= file.last[:MINUTE_DIGITS] for its in minutes)
        }
        assert {file.path for file in files.with_ids_of(minutes)} == wanted == naive


def test_events_of_a_new_time_are_written_without_a_look_at_any_file(tmp_path: Path) -> None:
    sink, store = sink_on(tmp_path / "lake")
    for number in range(5):
        # The last minute of one batch is the first of the next, as where a backlog is read.
        wanted = tools(10 * number, *minute(number), *minute(number + 1))
        assert sink.write(wanted).written == {"tool_created": 6}
        assert sink.write(wanted).written == {"tool_created": 0}
    assert store.scanned == 0
    anew, store = sink_on(tmp_path / "lake")
    assert anew.write(tools(0, *minute(0), *minute(1))).written == {"tool_created": 0}
    assert anew.write(tools(99, *minute(1))).written == {"tool_created": 3}
    assert store.scanned


def test_what_another_writes_into_a_new_time_is_seen(tmp_path: Path) -> None:
    """Both remember that no file holds this minute; then one of them writes into it."""
    (one, _), (two, _) = sink_on(tmp_path / "lake"), sink_on(tmp_path / "lake")
    for number in range(4):
        wanted, more = tools(10 * number, *minute(number)), tools(10 * number + 5, *minute(number))
        assert one.write(more).written == {"tool_created": 3}
        assert two.write(wanted).written == {"tool_created": 3}
        assert one.write(wanted).written == two.write(more).written == {"tool_created": 0}
    assert one.counts() == {"tool_created": 24}


def test_what_others_delete_meanwhile_is_written_when_it_comes_again(tmp_path: Path) -> None:
    sink, _ = sink_on(tmp_path / "lake")
    wanted = tools(0, *minute(0), *minute(1))
    sink.write(wanted)
    deleted = str(wanted.frames["tool_created"]["event_id"][2])
    DeltaTable(tmp_path / "lake" / "tool_created").delete(f"event_id = '{deleted}'")
    assert sink.counts() == {"tool_created": 5}
    assert sink.write(wanted).written == {"tool_created": 1}
    assert sink.write(wanted).written == {"tool_created": 0}
    assert sink.counts() == {"tool_created": 6}


@pytest.mark.parametrize("minutes", [99, 101, 150])
def test_late_events_of_many_new_times_are_exact(tmp_path: Path, minutes: int) -> None:
    sink, _ = sink_on(tmp_path / "lake", max_cached_ids=60)
    times = [START_MS + number * MINUTE_MS for number in range(minutes)]
    assert sink.write(tools(0, *times)).written == {"tool_created": minutes}
    assert sink.write(tools(0, *times)).written == {"tool_created": 0}
    assert sink.write(tools(1_000, *times)).written == {"tool_created": minutes}


def test_late_events_of_the_same_times_read_no_file_twice(tmp_path: Path) -> None:
    sink, _ = sink_on(tmp_path / "lake")
    times = [START_MS + number * MINUTE_MS for number in range(600)]
    for first in range(0, 600, 150):
        sink.write(tools(first, *times[first : first + 150]))
    sink, store = sink_on(tmp_path / "lake")
    for number in range(3):
        wanted = tools(1_000 * (1 + number), *times[::4])
        assert sink.write(wanted).written == {"tool_created": 150}
        assert store.scanned == 4 + number, "the files of before, and one of each late batch"
    assert sink.write(wanted).written == {"tool_created": 0}
    deleted = str(tools(0, times[0]).frames["tool_created"]["event_id"][0])
    DeltaTable(tmp_path / "lake" / "tool_created").delete(f"event_id = '{deleted}'")
    assert sink.write(tools(0, *times[:300])).written == {"tool_created": 1}
    assert sink.write(tools(0, *times[:300])).written == {"tool_created": 0}


def test_files_that_were_read_are_remembered_within_bounds() -> None:
    """The least used go first; what is too much is not remembered at all."""
    read, ids = _ReadFiles(100), pl.Series(["id"])
    read.add(["a", "b"], ids.new_from_index(0, 60))
    read.add(["c"], ids.new_from_index(0, 40))
    assert [(len(found), rest) for found, rest in [read.of(["b", "c"]), read.of(["a", "x"])]] == [
        (2, set()),
        (1, {"x"}),
    ]
    read.add(["d"], ids.new_from_index(0, 30))
    assert read.of(["a", "c", "d"])[1] == {"c"}
    read.add(["e"], ids.new_from_index(0, 101))
    assert read.of(["a", "d", "e"])[1] == {"e"}
    for number in range(100):
        read.add([f"{number}"], ids.clear())
    assert len(read.of(map(str, range(100)))[1]) == 36


def test_what_is_remembered_of_a_quiet_table_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One event a minute: hardly any ids, and ever more minutes."""
    monkeypatch.setattr("flowise_telemetry_consumer.sinks.delta.known_ids._MAX_MINUTES", 5)
    sink, _ = sink_on(tmp_path / "lake")
    for number in range(20):
        sink.write(tools(number, START_MS + number * MINUTE_MS))
    assert len(sink._table("tool_created")._known._minutes) == 5
    assert sink.write(tools(0, START_MS)).written == {"tool_created": 0}


def test_small_files_are_read_together_whether_or_not_their_columns_are_the_same() -> None:
    ones, twos = ([pl.DataFrame({"number": [n], **more}) for n in range(3)] for more in ({}, {"text": ["a"]}))
    read = list(parquet_rows(map(as_file, ones)))
    assert [frame.n_chunks() for frame in read] == [1]
    assert read[0].equals(pl.concat(ones))
    for first, second in ((ones, twos), (twos, ones)):
        mixed = list(parquet_rows(map(as_file, [*first, *second])))
        assert [frame.to_dicts() for frame in mixed] == [pl.concat(its).to_dicts() for its in (first, second)]


def as_file(frame: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.write_parquet(file)
    return file.getvalue()
