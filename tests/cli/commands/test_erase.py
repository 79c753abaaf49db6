"""``erase``: the count first, then the rows, and what refuses."""

from __future__ import annotations

import gzip
import io
import json
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import zstandard

from flowise_telemetry_schemas import catalog
from tests.cli.in_process import run_command
from tests.consumer.sinks.batches import batch, envelope, sizes
from tests.consumer.sinks.roles import open_readable
from tests.schemas.records import ENVELOPE

EVENTS = sum(sizes(batch()).values())
INSTANCE = ("--instance-id", ENVELOPE.instance_id)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with closing(open_readable(f"sqlite:///{tmp_path}/a.db")) as sink:
        sink.prepare(catalog())
        sink.write(batch())
    return tmp_path


def rows(folder: Path) -> int:
    with closing(open_readable(f"sqlite:///{folder}/a.db")) as sink:
        return sum(sink.counts().values())


def test_it_counts_until_it_is_told_to_erase(folder: Path) -> None:
    command = ("erase", "--sink", "sqlite:///a.db", *INSTANCE)
    for options in ((), ("--dry-run",), ("--dry-run", "--yes")):
        done = run_command(*command, *options, folder=folder)
        assert (done.status, rows(folder)) == (0, EVENTS)
        assert done.errors[-2:] == [
            f"sqlite:///a.db: {EVENTS} events would be erased",
            "dry run: nothing was changed; --yes erases them",
        ]
    document = json.loads(run_command(*command, "--yes", "--json", folder=folder).stdout)
    assert (document["erased"], document["complete"], document["dry_run"]) == (sizes(batch()), True, False)
    assert rows(folder) == 0
    assert ENVELOPE.instance_id.encode() not in (folder / "a.db").read_bytes()


def test_an_import_leaves_out_what_was_erased(folder: Path) -> None:
    (folder / "all.jsonl").write_bytes(
        run_command("replay", "--source", "sqlite:///a.db", "--sink", "jsonl:-", folder=folder).stdout.encode()
    )
    erase = ("erase", "--sink", "sqlite:///a.db", "--event-id", envelope(0).event_id, "--yes")
    assert run_command(*erase, folder=folder).status == 0
    for options in (("--dry-run",), ()):
        done = run_command("import", "all.jsonl", "--sink", "sqlite:///a.db", *options, "--json", folder=folder)
        document = json.loads(done.stdout)
        assert (done.status, document["adds_up"]) == (0, True)
        assert sum(event["erased"] for event in document["events"].values()) == 1
    assert rows(folder) == EVENTS - 1


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (("--sink", "jsonl:-", *INSTANCE), 1, "keeps nothing that could be erased; these do: sqlite, "),
        (("--sink", "kafka://topic", *INSTANCE), 2, "--sink: a topic keeps no hashes"),
        (("--sink", "sqlite:///a.db"), 2, "name what to erase"),
        (("--sink", "sqlite:///a.db", "--event-id", "sk-1234"), 2, "--event-id: not an id"),
        (("--sink", "sqlite:///b.db", *INSTANCE, "--yes"), 1, "there is no such file"),
    ],
)
def test_what_cannot_be_erased_is_said_in_a_line(
    folder: Path, options: tuple[str, ...], status: int, said: str
) -> None:
    done = run_command("erase", *options, folder=folder)
    assert (done.status, len(done.errors)) == (status, 1)
    assert said in done.errors[0]
    assert "sk-1234" not in done.errors[0]
    assert not (folder / "b.db").exists()


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_an_export_that_was_erased_from_still_adds_up(folder: Path, form: str) -> None:
    out = ("--out", "out", "--format", form)
    assert run_command("export", "--sink", "sqlite:///a.db", *out, folder=folder).status == 0
    command = ("erase", "--sink", "sqlite:///a.db", "--event-id", envelope(0).event_id, "--archive", "out")
    planned = json.loads(run_command(*command, "--json", folder=folder).stdout)
    done = json.loads(run_command(*command, "--json", "--yes", folder=folder).stdout)
    assert (planned["erased"], sum(done["erased"].values())) == (done["erased"], 2)
    replayed = run_command("replay", "--source", "out", "--sink", "sqlite:///b.db", "--json", folder=folder)
    document = json.loads(replayed.stdout)
    assert (replayed.status, document["adds_up"]) == (0, True)
    assert sum(event["written"] for event in document["events"].values()) == EVENTS - 1


def _unzstd(data: bytes) -> bytes:
    with zstandard.open(io.BytesIO(data)) as file:
        unpacked: bytes = file.read()
    return unpacked


PACK: dict[str, Callable[[bytes], bytes]] = {".jsonl": bytes, ".gz": gzip.compress, ".zst": zstandard.compress}
UNPACK: dict[str, Callable[[bytes], bytes]] = {".jsonl": bytes, ".gz": gzip.decompress, ".zst": _unzstd}


@pytest.mark.parametrize("name", ["all.jsonl", "all.jsonl.gz", "all.jsonl.zst"])
def test_a_file_is_written_anew_without_the_lines(folder: Path, name: str) -> None:
    printed = run_command("replay", "--source", "sqlite:///a.db", "--sink", "jsonl:-", folder=folder).stdout.encode()
    lines = [*printed.splitlines(keepends=True), b'{"no": "event", "is": "' + envelope(0).event_id.upper().encode()]
    (folder / name).write_bytes(PACK[Path(name).suffix](b"".join(lines)))
    command = ("erase", "--sink", "sqlite:///a.db", "--event-id", envelope(0).event_id, "--archive", name, "--yes")
    assert json.loads(run_command(*command, "--json", folder=folder).stdout)["erased"][name] == 2
    rest = [line for line in lines if envelope(0).event_id.encode() not in line.lower()]
    assert UNPACK[Path(name).suffix]((folder / name).read_bytes()) == b"".join(rest)
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith("all")) == [name]


def test_a_row_of_csv_goes_whole(folder: Path) -> None:
    kept, gone = f'"a ""quoted""\ncell",{envelope(1).event_id}\n', f'"x\n\ny",{envelope(0).event_id}\n'
    (folder / "tool_created.csv").write_text(f"tool_name,event_id\n{gone}{kept}{gone}")
    erase = ("erase", "--sink", "sqlite:///a.db", "--event-id", envelope(0).event_id, "--archive", "tool_created.csv")
    assert json.loads(run_command(*erase, "--yes", "--json", folder=folder).stdout)["erased"]["tool_created.csv"] == 2
    assert (folder / "tool_created.csv").read_text() == f"tool_name,event_id\n{kept}"


@pytest.mark.parametrize("name", ["all.jsonl.gz", "all.jsonl.zst"])
def test_a_file_that_was_cut_stays_as_it_is(folder: Path, name: str) -> None:
    line = b'{"event_id": "' + envelope(0).event_id.encode() + b'"}\n'
    cut = PACK[Path(name).suffix](line * 2 + os.urandom(300_000).hex().encode() + b"\n" + line)[:-1_000]
    (folder / name).write_bytes(cut)
    command = ("erase", "--sink", "sqlite:///a.db", "--event-id", envelope(0).event_id, "--archive", name, "--yes")
    done = run_command(*command, folder=folder)
    assert (done.status, "is damaged or cut: nothing was changed" in done.stderr) == (1, True)
    assert (folder / name).read_bytes() == cut
