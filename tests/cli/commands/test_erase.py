"""``erase``: the count first, then the rows, and what refuses."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

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
