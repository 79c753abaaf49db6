"""What a sink holds as files: the same rows, in folders that other engines read, whole or not there."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import polars as pl
import pytest

from flowise_telemetry_consumer.errors import SinkError, SinkInUseError
from flowise_telemetry_consumer.export import FORMATS, ExportedFolder, ExportResult, export_events
from flowise_telemetry_consumer.export.parts import Parts
from flowise_telemetry_consumer.export.place import ExportPlace
from flowise_telemetry_consumer.retry import RunControl
from flowise_telemetry_consumer.sinks import Batch, open_sink
from flowise_telemetry_schemas import ConfigurationError, catalog
from tests.consumer.sinks.batches import batch, held
from tests.consumer.sinks.roles import ReadableSink, open_readable
from tests.consumer.world import StopWhen

DAY_MS = 86_400_000


def over_days(days: int, batch_number: int = 0) -> Batch:
    """Events of all kinds, the n-th of each on the n-th day, in any order."""
    made = batch(batch_number, days)
    shift = pl.duration(milliseconds=pl.int_range(pl.len()) * DAY_MS, time_unit="ms")
    frames = {event: frame.with_columns(pl.col("occurred_at") + shift) for event, frame in made.frames.items()}
    return Batch(frames={event: frame.sample(fraction=1.0, shuffle=True, seed=1) for event, frame in frames.items()})


@pytest.fixture
def source(sink_url: str) -> Iterator[ReadableSink]:
    with closing(open_readable(sink_url)) as sink:
        sink.prepare(catalog())
        sink.write(over_days(3))
        yield sink


@pytest.fixture
def events(tmp_path: Path) -> Iterator[ReadableSink]:
    with closing(open_readable(f"sqlite:///{tmp_path / 'a.db'}")) as sink:
        sink.prepare(catalog())
        sink.write(batch(repeat=2))
        yield sink


def exported(sink: ReadableSink, out: Path, **options: object) -> ExportResult:
    return export_events(sink, out, catalog(), **options)  # type: ignore[arg-type]  # as a command passes them


@pytest.mark.parametrize("file_format", FORMATS)
def test_an_export_holds_what_the_sink_holds(source: ReadableSink, tmp_path: Path, file_format: str) -> None:
    out = tmp_path / "out"
    result = exported(source, out, file_format=file_format)
    assert result.rows == source.counts() == ExportedFolder(out, catalog()).counts()
    for event, written in over_days(3).frames.items():
        back = pl.concat(ExportedFolder(out, catalog()).read(event, batch_rows=2)).sort("event_id")
        assert back.equals(held(source, event))
        assert back.equals(written.sort("event_id"))
        days = {path.parent.name for path in out.glob(f"{event}/*/part-*.{file_format}")}
        assert days == {f"date={day}" for day in back["occurred_at"].dt.date().unique()}
    assert sorted(path.name for path in out.parent.iterdir() if "out" in path.name) == ["out"]


def test_a_part_by_event_and_time_is_read_by_its_days_as_any_engine_does(source: ReadableSink, tmp_path: Path) -> None:
    written = over_days(3).frames["tool_created"].sort("occurred_at")
    since_ms = int(written["occurred_at"].dt.epoch("ms")[1])
    result = exported(source, tmp_path / "out", events=["tool_created"], since_ms=since_ms)
    assert result.rows == {"tool_created": 2}
    assert [path.name for path in (tmp_path / "out").iterdir() if path.is_dir()] == ["tool_created"]
    scanned = pl.scan_parquet(tmp_path / "out" / "tool_created", hive_partitioning=True)
    for row in (1, 2):
        day = written["occurred_at"].dt.date()[row]
        assert scanned.filter(pl.col("date") == day).drop("date").collect().equals(written[row])
    with pytest.raises(ConfigurationError, match="there is no event typo; there are: assistant_created"):
        exported(source, tmp_path / "other", events=["typo"])


class KilledError(BaseException):
    """Stands for a process that ends here, without any clean-up."""


class Kills:
    """Kills a process at its n-th step that the disk sees: a file written, a name given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left: int | None = None
        rename, fsync = Path.rename, os.fsync

        def renamed(path: Path, to: Path) -> Path:
            self.step()
            return rename(path, to)

        def synced(descriptor: int) -> None:
            self.step()
            fsync(descriptor)

        monkeypatch.setattr(Path, "rename", renamed)
        monkeypatch.setattr(os, "fsync", synced)
        close = ExportPlace.close
        monkeypatch.setattr(ExportPlace, "close", lambda place: self.release(place) if self.left == 0 else close(place))

    def step(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                raise KilledError

    @staticmethod
    def release(place: ExportPlace) -> None:
        place._locks.release()  # as the operating system does


@pytest.mark.parametrize("replaces", [False, True])
def test_killed_anywhere_it_leaves_nothing_and_runs_again(
    events: ReadableSink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, replaces: bool
) -> None:
    out = tmp_path / "out"
    kills = Kills(monkeypatch)
    before: set[tuple[str, int]] = set()
    if replaces:
        exported(events, out, events=["tool_created"])
        before = {("tool_created", 2)}
    whole = {("prediction_sent", 2), ("tool_created", 2)}
    seen = set()
    for steps in count(1):
        kills.left = steps
        try:
            exported(events, out, events=dict(whole), overwrite=True)
        except KilledError:
            there = set(ExportedFolder(out, catalog()).counts().items()) if out.exists() else set()
            assert there in (before, whole, set())
            assert len(list(out.rglob("part-*"))) == len(there)
            seen.add(len(there))
            if there == whole:
                break
            # Nothing unfinished has the name of a file that others would read.
            assert there or not list(tmp_path.glob("out/**/*.parquet"))
        else:
            pytest.fail("the last step is a kill, too")
    assert seen == ({0, 1, 2} if replaces else {0, 2})
    kills.left = None
    exported(events, out, events=dict(whole), overwrite=True)
    assert set(ExportedFolder(out, catalog()).counts().items()) == whole
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == ["out"]


def test_what_a_kill_took_away_comes_back_first(
    events: ReadableSink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    exported(events, out)
    out.rename(tmp_path / ".out.replaced")
    with pytest.raises(SinkError, match="holds an export"):
        exported(events, out)
    assert ExportedFolder(out, catalog()).counts() == events.counts()


def test_an_export_in_the_way_is_replaced_if_that_is_wanted(events: ReadableSink, tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported(events, out)
    with pytest.raises(SinkError, match="holds an export: name another folder, or replace it") as refused:
        exported(events, out)
    assert refused.value.argument == "overwrite"
    events.write(batch(1))
    exported(events, out, overwrite=True, file_format="csv")
    assert ExportedFolder(out, catalog()).counts() == events.counts()
    assert not list(out.rglob("*.parquet"))


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_export_stays(events: ReadableSink, tmp_path: Path, *, overwrite: bool) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("mine too")
    for name, said in (
        ("mine", "holds files that are no export: name a new folder or an empty one"),
        ("file", "is a file: name a folder"),
        ("no/such", "make the folder"),
        ("/", "is a mount point"),
    ):
        with pytest.raises(ConfigurationError, match=said) as refused:
            exported(events, tmp_path / name, overwrite=overwrite)
        assert refused.value.argument == "out"
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    empty = tmp_path / "empty"
    empty.mkdir(mode=0o750)
    exported(events, empty)
    assert empty.stat().st_mode & 0o777 == 0o750


def test_two_at_once_do_not_mix(events: ReadableSink, tmp_path: Path) -> None:
    first = ExportPlace(tmp_path / "out", overwrite=False)
    first.open()
    first.write("tool_created/part", b"half")
    with pytest.raises(SinkInUseError):
        exported(events, tmp_path / "out")
    assert list(tmp_path.rglob("part.partial"))
    first.close()
    exported(events, tmp_path / "out")


def test_it_can_be_stopped(events: ReadableSink, tmp_path: Path) -> None:
    result = exported(events, tmp_path / "out", control=RunControl(stop=StopWhen(lambda: True)))
    assert result.incomplete == "stopped before the end"
    assert [path.name for path in tmp_path.iterdir() if "a.db" not in path.name] == []


def test_what_cannot_be_read_is_told_and_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="cannot be read back"):
        exported(open_sink("jsonl:-"), tmp_path / "out")  # type: ignore[arg-type]  # that is the point
    with pytest.raises(SinkError, match="no such file"):
        exported(open_readable(f"sqlite:///{tmp_path}/typo.db"), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_sink_is_an_empty_export(tmp_path: Path) -> None:
    with closing(open_readable(f"sqlite:///{tmp_path / 'source'}")) as sink:
        sink.prepare(catalog())
        assert set(exported(sink, tmp_path / "out").rows.values()) == {0}
    assert json.loads((tmp_path / "out" / "_export.json").read_bytes())["rows"]["tool_created"] == 0


def test_a_copy_that_lacks_something_is_refused(events: ReadableSink, tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported(events, out)
    file = next(out.glob("tool_created/*/*"))
    data = file.read_bytes()
    file.write_bytes(data[:-1])
    with pytest.raises(SinkError, match=r"part-00000.parquet is not as it was exported: copy it again"):
        ExportedFolder(out, catalog()).counts()
    file.unlink()
    with pytest.raises(SinkError, match=r"part-00000.parquet is missing: copy the export again"):
        ExportedFolder(out, catalog()).counts()
    file.write_bytes(bytes(len(data)))
    with pytest.raises(SinkError, match="holds a file that cannot be read"):
        list(ExportedFolder(out, catalog()).read("tool_created"))
    (out / "_export.json").write_text('{"kind": "another"}')
    with pytest.raises(SinkError, match="is not that of an export"):
        ExportedFolder(out, catalog()).counts()
    (out / "_export.json").unlink()
    with pytest.raises(SinkError, match="no export that was finished"):
        ExportedFolder(out, catalog()).counts()


def test_memory_is_bounded_whatever_the_days() -> None:
    written: list[tuple[str, pl.DataFrame]] = []
    parts = Parts(lambda day, rows: written.append((day, rows)), part_rows=50, max_held_bytes=20_000)
    frames = list(over_days(300).frames["tool_created"].iter_slices(7))
    random.Random(1).shuffle(frames)
    most = 0
    for frame in frames:
        parts.add(frame)
        most = max(most, sum(parts._bytes.values()))
    assert 0 < most <= 20_000
    assert written, "some were written before the end"
    parts.close()
    assert sum(rows.height for _, rows in written) == 300
    assert {day for day, _ in written} == {str(day) for day in pl.concat(frames)["occurred_at"].dt.date().unique()}
    whole = Parts(lambda day, rows: written.append((day, rows)), part_rows=50)
    written.clear()
    for frame in batch(0, 120).frames["tool_created"].iter_slices(10):
        whole.add(frame)
    whole.close()
    assert [rows.height for _, rows in written] == [50, 50, 20]
