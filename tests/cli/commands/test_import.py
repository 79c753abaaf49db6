"""``import``: JSON lines and CSV of anyone into a sink, each event once, and what is none set aside."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import zstandard

from flowise_telemetry_cli.invocation import Invocation
from flowise_telemetry_transport.types import TopicPartition
from tests.cli.in_process import run_command
from tests.cli.program import Finished, start
from tests.consumer.archives.lines import changed, documents, own_lines, spaced
from tests.consumer.sinks.batches import batch as batch_of_all
from tests.consumer.sinks.batches import sizes
from tests.consumer.world import TOPIC, World

EVENTS = len(own_lines())
TOOLS = [document for document in documents(0, 40) if document["event"] == "tool_created"]
PROMPT = "Please summarise the mail of name@example.com"


def imported(*arguments: str, folder: Path, stdin: bytes = b"") -> tuple[Finished, dict[str, Any]]:
    done = run_command("import", *arguments, "--sink", "sqlite:///a.db", "--json", folder=folder, stdin=stdin)
    return done, json.loads(done.stdout) if done.stdout else {}


def counts(folder: Path, name: str = "a.db") -> dict[str, int]:
    with closing(sqlite3.connect(folder / name)) as db:
        events = sizes(batch_of_all())
        return {event: db.execute(f"SELECT count(*) FROM {event}").fetchone()[0] for event in events}


def total(document: dict[str, Any], what: str) -> int:
    return sum(event[what] for event in document["events"].values())


def csv_of(found: Sequence[dict[str, Any]], *, columns: bool, event: bool, **style: Any) -> bytes:
    """The documents of one event or several as CSV, with our fields' names or those of tables."""
    names = list(dict.fromkeys(name for document in found for name in document["properties"]))
    head = [
        "".join("_" + char.lower() if char.isupper() else char for char in name) if columns else name for name in names
    ]
    text = io.StringIO()
    writer = csv.writer(text, **style)
    writer.writerow([*(["event"] if event else []), *head])
    for document in found:
        cells = [document["properties"].get(name) for name in names]
        plain = [json.dumps(cell, indent=1) if isinstance(cell, dict | list) else cell for cell in cells]
        writer.writerow([*([document["event"]] if event else []), *plain])
    return text.getvalue().encode()


def test_lines_of_anyone_are_taken_once_and_rejects_are_told(tmp_path: Path) -> None:
    lines = [spaced(document) for document in documents(0, 5)]
    bad = [b"hello", spaced(changed(TOOLS[0], toolName=PROMPT)), b'{"event": "x", "properties": {}}', lines[0][:-7]]
    (tmp_path / "old.jsonl").write_bytes(b"\n".join([*lines[:20], *bad[:3], *lines[20:], bad[3]]))
    done, document = imported("old.jsonl", folder=tmp_path)
    assert done.status == 3
    assert done.errors[-1] == (
        "error: incomplete: 4 are no valid events and were set aside: old.jsonl.rejects.jsonl says which, and why"
    )
    assert document["rejected"] == {"cut": 1, "json": 1, "pattern": 1, "unknown_event": 1}
    assert (total(document, "written"), counts(tmp_path)) == (5 * EVENTS, sizes(batch_of_all(0, 5)))
    rejects = [json.loads(line) for line in (tmp_path / "old.jsonl.rejects.jsonl").read_text().splitlines()]
    assert [(its["source"], its["line"], its["event"], its["field"], its["rule"]) for its in rejects] == [
        ("old.jsonl", 21, None, "", "json"),
        ("old.jsonl", 22, "tool_created", "toolName", "pattern"),
        ("old.jsonl", 23, None, "event", "unknown_event"),
        ("old.jsonl", 5 * EVENTS + 4, None, "", "cut"),
    ]
    assert "example.com" not in done.stderr + (tmp_path / "old.jsonl.rejects.jsonl").read_text()
    again, document = imported("old.jsonl", folder=tmp_path)
    assert (again.status, total(document, "written"), total(document, "already_there")) == (3, 0, 5 * EVENTS)


def test_a_dry_run_tells_all_and_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"\n".join([*own_lines(0, 2), b"hello", own_lines(0, 2)[0]]))
    done, document = imported("a.jsonl", "--dry-run", folder=tmp_path)
    assert (done.status, total(document, "written"), total(document, "already_there")) == (3, 2 * EVENTS, 1)
    assert f"a.jsonl: line {2 * EVENTS + 1}: is not JSON at column 1" in done.errors
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["a.jsonl"]
    assert imported("a.jsonl", folder=tmp_path)[0].status == 3
    done, document = imported("a.jsonl", "--dry-run", folder=tmp_path)
    assert (total(document, "written"), total(document, "already_there")) == (0, 2 * EVENTS + 1)


@pytest.mark.parametrize("columns", [True, False])
@pytest.mark.parametrize(
    "style", [{}, {"lineterminator": "\n"}, {"delimiter": ";"}, {"delimiter": "\t"}, {"quoting": csv.QUOTE_ALL}]
)
def test_csv_of_all_events_is_taken(columns: bool, style: dict[str, Any], tmp_path: Path) -> None:
    """Flow graphs are JSON of several lines in a cell."""
    content = csv_of(documents(0, 5), columns=columns, event=True, **style)
    (tmp_path / "old.csv").write_bytes(b"\xef\xbb\xbf" + content)
    done, document = imported("old.csv", folder=tmp_path)
    assert (done.status, document["rejected"], counts(tmp_path)) == (0, {}, sizes(batch_of_all(0, 5)))
    (tmp_path / "own.jsonl").write_bytes(b"\n".join(own_lines(0, 5)))
    assert total(imported("own.jsonl", folder=tmp_path)[1], "already_there") == 5 * EVENTS
    for event in counts(tmp_path):
        with closing(sqlite3.connect(tmp_path / "a.db")) as db:
            assert len(set(db.execute(f"SELECT * FROM {event}"))) == counts(tmp_path)[event]


@pytest.mark.parametrize(
    "name", ["tool_created.csv", "tool_created.csv.gz", "tool_created/part-0.csv.zst", "-", "x.txt"]
)
def test_the_event_of_csv_comes_from_the_name_or_the_option(name: str, tmp_path: Path) -> None:
    content = csv_of(TOOLS, columns=True, event=False)
    packed = gzip.compress(content) if name.endswith("gz") else content
    packed = zstandard.compress(content) if name.endswith("zst") else packed
    if name != "-":
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(packed)
    options = ("--format", "csv", "--event", "tool_created") if name in {"-", "x.txt"} else ()
    done, document = imported(name, *options, folder=tmp_path, stdin=content)
    assert (done.status, document["events"]["tool_created"]["written"]) == (0, 40)


BAD_CELLS = {
    "a number as words": ("sequence", "three", "sequence", "type"),
    "a fraction": ("sequence", "3.0", "sequence", "type"),
    "other digits": ("sequence", "\u0663", "sequence", "type"),
    "a date": ("occurred_at", "14.11.2023", "occurredAt", "time"),
    "nothing": ("instance_id", "", "instanceId", "required"),
    "a prompt": ("tool_name", PROMPT, "toolName", "pattern"),
    "lines": ("tool_name", "get\nit", "toolName", "pattern"),
    "a zero": ("tool_name", "get\x00it", "toolName", "pattern"),
}


@pytest.mark.parametrize("case", BAD_CELLS)
def test_a_bad_cell_is_a_reject_and_no_more(case: str, tmp_path: Path) -> None:
    column, cell, field, rule = BAD_CELLS[case]
    rows = list(csv.reader(csv_of(TOOLS, columns=True, event=False).decode().splitlines()))
    rows[4][rows[0].index(column)] = cell
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    (tmp_path / "tool_created.csv").write_text(text.getvalue())
    done, document = imported("tool_created.csv", folder=tmp_path)
    assert (done.status, document["rejected"], document["events"]["tool_created"]["written"]) == (3, {rule: 1}, 39)
    (reject,) = (json.loads(line) for line in (tmp_path / "tool_created.csv.rejects.jsonl").read_text().splitlines())
    assert (reject["line"], reject["field"], reject["rule"]) == (5, field, rule)


@pytest.mark.parametrize("stray", [b'a"b', b'"', b'"""', b'a,b\xff"', b"too,few", b",,,,,,,,,"])
def test_a_stray_quote_takes_no_other_line_along(stray: bytes, tmp_path: Path) -> None:
    lines = csv_of(TOOLS, columns=True, event=False).splitlines()
    lines[7:7] = [stray]
    lines[20:20] = [stray]
    (tmp_path / "tool_created.csv").write_bytes(b"\r\n".join(lines))
    done, document = imported("tool_created.csv", folder=tmp_path)
    assert (done.status, sum(document["rejected"].values())) == (3, 2)
    assert document["events"]["tool_created"]["written"] == 40
    rejects = (tmp_path / "tool_created.csv.rejects.jsonl").read_text().splitlines()
    assert [json.loads(line)["line"] for line in rejects] == [8, 21]


def test_events_without_ids_are_written_once(tmp_path: Path) -> None:
    plain = [changed(document, eventId=None) for document in documents(0, 5)]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(spaced(document) for document in plain))
    (tmp_path / "b.csv").write_bytes(csv_of(plain, columns=False, event=True))
    done, document = imported("a.jsonl", folder=tmp_path)
    assert (done.status, total(document, "written")) == (0, 5 * EVENTS)
    done, document = imported("b.csv", folder=tmp_path)
    assert (done.status, total(document, "written"), total(document, "already_there")) == (0, 0, 5 * EVENTS)


def test_an_export_comes_back(tmp_path: Path) -> None:
    (tmp_path / "own.jsonl").write_bytes(b"\n".join(own_lines(0, 5)))
    imported("own.jsonl", folder=tmp_path)
    made = run_command("export", "--sink", "sqlite:///a.db", "--out", "out", "--format", "csv", folder=tmp_path)
    assert made.status == 0
    files = sorted(str(path.relative_to(tmp_path)) for path in (tmp_path / "out").rglob("*.csv"))
    back = run_command("import", *files, "--sink", "sqlite:///b.db", "--json", folder=tmp_path)
    assert (back.status, counts(tmp_path, "b.db")) == (0, counts(tmp_path))
    again = run_command("import", *files, "--sink", "sqlite:///a.db", "--json", folder=tmp_path)
    assert total(json.loads(again.stdout), "already_there") == 5 * EVENTS


def test_times_choose_events(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(own_lines()))
    bounds = ("--from", "2023-11-14T22:13:20.124Z", "--to", "2023-11-14T22:13:20.126Z")
    done, document = imported("a.jsonl", *bounds, folder=tmp_path)
    assert (done.status, total(document, "written"), total(document, "filtered")) == (0, 2, EVENTS - 2)


def test_many_files_are_one_import(tmp_path: Path) -> None:
    lines = own_lines(0, 10)[:60]
    names = [f"day-{at:02}.jsonl" for at in range(20)]
    for at, name in enumerate(names):
        (tmp_path / name).write_bytes(b"\n".join([*lines[at * 3 : at * 3 + 3], *([b"hello"] if at == 7 else [])]))
    done, document = imported(*names, folder=tmp_path)
    assert (done.status, total(document, "written"), document["rejects"]) == (3, 60, "import.rejects.jsonl")
    reject = json.loads((tmp_path / "import.rejects.jsonl").read_text())
    assert (reject["source"], reject["line"]) == ("day-07.jsonl", 4)


def test_a_cut_archive_is_read_up_to_the_damage(tmp_path: Path) -> None:
    whole = b"".join(gzip.compress(line + b"\n") for line in own_lines(0, 5))
    (tmp_path / "a.gz").write_bytes(whole[:-40])
    done, document = imported("a.gz", folder=tmp_path)
    assert (done.status, document["complete"], total(document, "written")) == (3, False, 5 * EVENTS - 1)
    assert f"a.gz is damaged or cut after line {5 * EVENTS - 1}: bring it again" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "content", "status", "said"),
    [
        (("none.jsonl",), None, 1, "none.jsonl cannot be opened: there is no such file"),
        (("a.jsonl",), b"hello\n", 1, "a.jsonl is no file of events: line 1: is not JSON"),
        (("a.csv",), b"name,age\nx,1\n", 1, "a.csv is no CSV of events: line 1: column 1 is no field of an event"),
        (("a.csv",), b"eventId,instanceld\n", 1, "column 2 is no field of an event: did you mean instanceId?"),
        (
            ("a.csv",),
            b"event_id,tool_id\n1,2\n",
            1,
            "--event: a.csv is no CSV of events: line 1: there is no column event",
        ),
        (("a.csv", "--event", "x"), b"", 2, "--event: there is no event of this name; there are: assistant_created"),
        (("a.jsonl", "--from", "5"), b"", 2, "--from: a file has no offsets: give a time"),
        (("a.jsonl", "--from", "2024-01-02", "--to", "2024-01-01"), b"", 2, "--from: the range is empty"),
        (("a.jsonl", "--rejects", "a.jsonl"), b"hello\n", 2, "--rejects: a.jsonl is no file of rejects: name another"),
        ((), None, 2, "Missing argument 'FILE…'"),
    ],
)
def test_misuse_is_one_line(
    arguments: tuple[str, ...], content: bytes | None, status: int, said: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / arguments[0]).write_bytes(content)
    done = run_command("import", *arguments, "--sink", "sqlite:///a.db", folder=tmp_path)
    assert (done.status, done.stdout) == (status, "")
    assert said in done.errors[-1]
    assert content is None or (tmp_path / arguments[0]).read_bytes() == content


def test_an_empty_file_has_no_events(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"")
    done, document = imported("a.jsonl", folder=tmp_path)
    assert (done.status, document["events"], document["complete"]) == (0, {}, True)


def test_into_a_topic_only_where_it_is_named(tmp_path: Path) -> None:
    world = World(partitions=1)
    invocation = Invocation(
        open_reader=lambda settings: world.reader(None),
        open_writer=lambda settings, **options: world.broker.open_writer(),
        open_admin=lambda settings: world.broker.open_admin(),
    )
    (tmp_path / "a.jsonl").write_bytes(b"\n".join([*own_lines(), b"hello"]))
    options = ("--sink", f"kafka://{TOPIC}", "--bootstrap-servers", "b:1", "--json")
    planned = run_command("import", "a.jsonl", *options, "--dry-run", folder=tmp_path)
    assert (planned.status, total(json.loads(planned.stdout), "written")) == (3, EVENTS)
    done = run_command("import", "a.jsonl", *options, folder=tmp_path, invocation=invocation)
    assert (done.status, total(json.loads(done.stdout), "written")) == (3, EVENTS)
    sent = [document["properties"]["eventId"].encode() for document in documents()]
    log = world.broker.log(TopicPartition(TOPIC, 0))
    assert {record.key for record in log.records.values()} == set(sent)
    nowhere = run_command("import", "a.jsonl", folder=tmp_path)
    assert (nowhere.status, "Missing option '--sink'" in nowhere.stderr) == (2, True)


@pytest.mark.slow
def test_after_kill_9_the_same_command_goes_on(tmp_path: Path) -> None:
    """Wherever it was: nothing is doubled, and every reject is there once."""
    lines = own_lines(0, 5_000)
    lines[25_000:25_000] = [b"hello"]
    lines[100:100] = [b"hello"]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines))
    command = ("import", "a.jsonl", "--sink", "sqlite:///a.db", "--json")
    process = start(*command, folder=tmp_path)
    while process.poll() is None and not _is_begun(tmp_path / "a.db"):
        time.sleep(0)  # no wait: the condition is looked at again
    process.kill()
    process.communicate()
    done, document = imported("a.jsonl", folder=tmp_path)
    assert (done.status, document["complete"]) == (3, True)
    assert total(document, "read") < len(lines) - 2 or process.returncode == 3
    assert counts(tmp_path) == sizes(batch_of_all(0, 5_000))
    rejects = (tmp_path / "a.jsonl.rejects.jsonl").read_text().splitlines()
    assert [json.loads(line)["line"] for line in rejects] == [101, 25_002]


def _is_begun(path: Path) -> bool:
    if not path.exists():
        return False
    with closing(sqlite3.connect(path)) as db:
        try:
            return db.execute("SELECT max(next_offset) FROM flowise_telemetry_progress").fetchone()[0] is not None
        except sqlite3.OperationalError:
            return False  # no table yet
