"""Imports that are stopped, killed, begun twice: each event once, and the rejects of a run without a stop."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from flowise_telemetry_consumer import SinkInUseError
from flowise_telemetry_consumer.archives import gathering, text_file
from flowise_telemetry_consumer.archives.rejects import RejectsFile
from flowise_telemetry_consumer.replay import ArchiveResult, ImportRequest, import_files
from flowise_telemetry_consumer.retry import RunControl
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_consumer.sinks.port import Batch, Readable, Sink, WriteResult
from flowise_telemetry_schemas import catalog
from tests.consumer.archives.lines import documents, own_lines
from tests.consumer.sinks.batches import batch, sizes
from tests.consumer.world import FakeClock, LongestWaits, StopWhen

GOOD = len(own_lines(0, 20))
BAD = (3, 40, 41, 77, 130)
CONTROL = RunControl(clock=FakeClock(), random=LongestWaits())


class Killed(BaseException):
    """What ends a process here, so that the next one can be looked at."""


@pytest.fixture(autouse=True)
def _small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a small file has many of them."""
    monkeypatch.setattr(gathering, "PORTION_ROWS", 10)
    monkeypatch.setattr(text_file, "_BLOCK_BYTES", 2_048)


@pytest.fixture(params=["jsonl"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, ...]:
    """Two files with a bad line here and there."""
    lines = own_lines(0, 20) if request.param == "jsonl" else _csv_lines()
    for at in BAD:
        lines.insert(at, b"hello")
    parts = [lines[:70], lines[70:]]
    head = [b"event," + ",".join(_NAMES).encode()] if request.param == "csv" else []
    paths = [tmp_path / f"{number}.{request.param}" for number in range(2)]
    for path, part in zip(paths, parts, strict=True):
        path.write_bytes(b"\r\n".join([*head, *part]) + b"\r\n")
    return tuple(map(str, paths))


_NAMES = list(dict.fromkeys(name for document in documents() for name in document["properties"]))


def _csv_lines() -> list[bytes]:
    lines = []
    for document in documents(0, 20):
        cells = [document["properties"].get(name) for name in _NAMES]
        text = io.StringIO()
        plain = [json.dumps(cell) if isinstance(cell, dict | list) else cell for cell in cells]
        csv.writer(text).writerow([document["event"], *plain])
        lines.append(text.getvalue().strip().encode())
    return lines


def run(
    folder: Path,
    files: tuple[str, ...],
    url: str,
    *,
    write: Callable[[Sink], None] = lambda sink: None,
    control: RunControl = CONTROL,
    restart: bool = False,
) -> ArchiveResult:
    with closing(open_sink(url)) as sink:
        write(sink)
        rejects = RejectsFile(folder / "rejects.jsonl")
        return import_files(
            ImportRequest(files=files), sink, catalog(), rejects=rejects, control=control, restart=restart
        )


def rejects(folder: Path) -> list[tuple[str, int]]:
    found = [json.loads(line) for line in (folder / "rejects.jsonl").read_text().splitlines()]
    return [(Path(its["source"]).stem, its["line"]) for its in found]


def counts(url: str) -> dict[str, int]:
    with closing(open_sink(url)) as sink:
        assert isinstance(sink, Readable)
        return sink.counts()


def dies(after: int, *, acknowledged: bool) -> Callable[[Sink], None]:
    """Let the process end with its ``after``-th write, before or after it got through."""

    def prepare(sink: Sink) -> None:
        write, left = sink.write, [after]

        def until(batch: Batch) -> WriteResult:
            left[0] -= bool(batch.frames)  # the last write, which marks the end, has none
            if batch.frames and left[0] == 0 and not acknowledged:
                raise Killed
            done = write(batch)
            if batch.frames and left[0] == 0:
                raise Killed
            return done

        sink.write = until  # type: ignore[method-assign]

    return prepare


@pytest.mark.parametrize(
    ("files", "kind", "acknowledged"),
    [
        ("jsonl", "sqlite", True),
        ("jsonl", "sqlite", False),
        ("csv", "sqlite", True),
        ("jsonl", "duckdb", False),
        ("csv", "delta", False),
    ],
    indirect=["files"],
)
def test_an_import_that_is_killed_goes_on_where_it_was(
    files: tuple[str, ...], kind: str, acknowledged: bool, tmp_path: Path
) -> None:
    url = f"{kind}:///{tmp_path}/a"
    whole = run(tmp_path, files, f"sqlite:///{tmp_path}/whole.db")
    assert (whole.read, whole.written, whole.rejected) == (GOOD, GOOD, len(BAD))
    expected = rejects(tmp_path)
    read: list[int] = []
    for _ in range(40):
        try:
            read.append(run(tmp_path, files, url, write=dies(4, acknowledged=acknowledged)).read)
            break
        except Killed:
            continue
    assert len(read) == 1
    assert read[0] < GOOD  # the last run began in the middle
    assert counts(url) == sizes(batch(0, 20))
    assert rejects(tmp_path) == expected


def test_a_finished_one_reads_everything_again_and_writes_nothing(files: tuple[str, ...], tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    assert run(tmp_path, files, url).written == GOOD
    again = run(tmp_path, files, url)
    assert (again.read, again.written, again.rejected) == (GOOD, 0, len(BAD))
    assert len(rejects(tmp_path)) == len(BAD)


def test_a_changed_file_is_read_anew(files: tuple[str, ...], tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    stopped = dataclasses.replace(CONTROL, stop=StopWhen(lambda: True))
    assert 0 < run(tmp_path, files, url, control=stopped).read < GOOD
    os.utime(files[0], ns=(1, 1))
    assert run(tmp_path, files, url, control=stopped).written == 0
    assert run(tmp_path, files, url, restart=True).read == GOOD
    assert counts(url) == sizes(batch(0, 20))


def test_two_at_once_are_refused(files: tuple[str, ...], tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"

    def meanwhile(sink: Sink) -> None:
        write = sink.write

        def second(batch: Batch) -> WriteResult:
            with pytest.raises(SinkInUseError):
                run(tmp_path, files, url)
            return write(batch)

        sink.write = second  # type: ignore[method-assign]

    stopped = dataclasses.replace(CONTROL, stop=StopWhen(lambda: True))
    run(tmp_path, files, url, write=meanwhile, control=stopped)


def test_a_sink_without_progress_begins_anew(files: tuple[str, ...], tmp_path: Path) -> None:
    url = f"jsonl:///{tmp_path}/out.jsonl"
    with pytest.raises(Killed):
        run(tmp_path, files, url, write=dies(5, acknowledged=True))
    again = run(tmp_path, files, url)
    assert (again.read, again.rejected, counts(url)) == (GOOD, len(BAD), sizes(batch(0, 20)))


@pytest.mark.services
def test_postgresql_keeps_progress_too(files: tuple[str, ...], tmp_path: Path, new_postgres_url: str) -> None:
    with pytest.raises(Killed):
        run(tmp_path, files, new_postgres_url, write=dies(4, acknowledged=True))
    rest = run(tmp_path, files, new_postgres_url)
    assert (0 < rest.read < GOOD, len(rejects(tmp_path))) == (True, len(BAD))
    assert counts(new_postgres_url) == sizes(batch(0, 20))
