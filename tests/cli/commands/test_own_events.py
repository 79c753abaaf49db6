"""``--schemas``, and the commands that make, check and show events of an app's own."""

from __future__ import annotations

import importlib.metadata
import json
import sys
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from flowise_telemetry_schemas import catalog
from flowise_telemetry_schemas.own_events import GROUP, read_own_events
from tests.cli.in_process import run_command
from tests.consumer.sinks.roles import open_readable
from tests.schemas.own_folder import KIND, NAMESPACE, TERMS, add, write

OWN = {"FLOWISE_TELEMETRY_SCHEMAS": "own"}
DAY = ("--today", "2026-12-01")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own").mkdir()
    write(tmp_path / "own")
    return tmp_path


def test_a_refused_folder_is_one_line_before_anything_else(folder: Path) -> None:
    (folder / "own" / "thing_made").rename(folder / "own" / "tool_created")
    for command in (("schemas", "list"), ("export", "--sink", "sqlite:///no.db", "--out", "files"), ("preview",)):
        done = run_command(*command, folder=folder, env=OWN)
        assert (done.status, done.stdout, len(done.errors)) == (2, "", 1)
        assert "Invalid value for '--schemas'" in done.errors[0]
        assert "own: tool_created v1: the record's name must be" in done.errors[0]
    done = run_command("schemas", "list", "--schemas", "missing", folder=folder)
    assert (done.status, "missing cannot be read: No such file" in done.stderr) == (2, True)


def test_new_takes_the_namespace_of_the_folder(folder: Path) -> None:
    assert run_command("schemas", "new", "other_made", "own", folder=folder).status == 0
    assert json.loads((folder / "own" / "other_made" / "v1.avsc").read_text())["namespace"] == NAMESPACE
    (folder / "own" / "other_made" / "event.toml").write_text(TERMS)
    done = run_command("schemas", "check", "own", *DAY, folder=folder)
    assert (done.status, done.errors) == (0, ["2 schemas, 0 problems"])
    (folder / "empty").mkdir()
    run_command("schemas", "new", "thing", "empty", "--namespace", "com.example.two", folder=folder)
    assert json.loads((folder / "empty" / "thing" / "v1.avsc").read_text())["namespace"] == "com.example.two"


def test_check_tells_what_a_start_would_refuse(folder: Path) -> None:
    done = run_command("schemas", "check", *DAY, folder=folder, env=OWN)
    assert (done.status, done.errors) == (0, [f"{len(list(catalog())) + 1} schemas, 0 problems"])
    (folder / "own" / "thing_made" / "event.toml").write_text(TERMS.replace("2027-06-30", '"9.0.0"'))
    done = run_command("schemas", "check", "own", *DAY, folder=folder)
    assert (done.status, "thing_made: expires must be a day" in done.stdout) == (1, True)


def test_generate_writes_what_its_check_finds_up_to_date(folder: Path) -> None:
    command = ("schemas", "generate", "own", "--out", "things.py", "--disclosure", "TELEMETRY.md", "--release", "2.0.0")
    assert run_command(*command, "--check", folder=folder).status == 1
    assert not (folder / "things.py").exists()
    assert run_command(*command, folder=folder).status == 0
    assert "class ThingMade:" in (folder / "things.py").read_text()
    assert "## thing_made" in (folder / "TELEMETRY.md").read_text()
    assert run_command(*command, "--check", folder=folder).status == 0
    rows = run_command("verify", "--schemas", "own", "--json", folder=folder).stdout.splitlines()
    assert json.loads(rows[-1])["release"] == "2.0.0"
    file = folder / "own" / "thing_made" / "v1.avsc"
    file.write_text(file.read_text().replace('"maxLength": 4', '"maxLength": 3'))
    changed = run_command("verify", "--schemas", "own", folder=folder)
    assert (changed.status, "changed since release 2.0.0" in changed.stderr) == (2, True)
    nothing = run_command("schemas", "generate", "--out", "things.py", folder=folder)
    assert (nothing.status, "name the FOLDER of your events" in nothing.stderr) == (2, True)


def test_a_release_is_listed_in_the_folder_of_an_entry_point(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "own" / "__init__.py").touch()
    (folder / "own").rename(folder / "own_of_a_package")

    def install(package: str, place: Path) -> None:
        monkeypatch.delitem(sys.modules, package, raising=False)
        monkeypatch.syspath_prepend(str(place))
        points = importlib.metadata.EntryPoints([importlib.metadata.EntryPoint("my_app", package, GROUP)])
        monkeypatch.setattr(importlib.metadata, "entry_points", points.select)

    install("own_of_a_package", folder)
    command = ("schemas", "generate", "--schemas", "entry-point:my_app", "--out", "things.py", "--release", "2.0.0")
    assert run_command(*command, folder=folder).status == 0
    listed = json.loads((folder / "own_of_a_package" / "released.json").read_text())
    assert listed["thing_made/v1.avsc"]["release"] == "2.0.0"
    packed = folder / "packed.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for name in ("__init__.py", "thing_made/v1.avsc", "thing_made/event.toml"):
            archive.write(folder / "own_of_a_package" / name, f"own_in_a_zip/{name}")
    install("own_in_a_zip", packed)
    refused = run_command(*command, folder=folder)
    assert (refused.status, "name their folder, not entry-point:my_app" in refused.stderr) == (2, True)


def test_they_are_shown_beside_the_shipped_ones(folder: Path) -> None:
    (shown,) = run_command("preview", "thing_made", "--schemas", "own", "--json", folder=folder).stdout.splitlines()
    document = json.loads(shown)
    assert (document["event"], document["record"]["points"]) == ("thing_made", [{"x": 1, "y": 1}])
    assert "isNew" in run_command("schemas", "show", "thing_made", "--schemas", "own", folder=folder).stdout
    listed = run_command("schemas", "list", "--json", folder=folder, env=OWN).stdout.splitlines()
    assert {json.loads(line)["event"] for line in listed} == {*catalog().names, "thing_made"}
    pages = run_command("schemas", "docs", "--schemas", "own", "--format", "json", folder=folder).stdout.splitlines()
    assert {json.loads(page)["event"] for page in pages} == {*catalog().names, "thing_made"}


def test_what_is_left_alone_for_want_of_its_schema_is_named(folder: Path) -> None:
    with closing(open_readable(f"sqlite:///{folder}/a.db")) as sink:
        sink.prepare(read_own_events(folder / "own").catalog)
    pruning = ("prune", "--sink", "sqlite:///a.db", "--before", "2023-12-01", "--json")
    exporting = ("export", "--sink", "sqlite:///a.db", "--overwrite", "--out", "files")
    for command, left in ((pruning, "nothing was removed from"), (exporting, "nothing was exported of")):
        without = run_command(*command, folder=folder)
        line = f"warning: {left} thing_made, as no schema here is of them: name the folder of these events, --schemas"
        assert (without.status, without.errors.count(line)) == (0, 1), without.stderr
        told = run_command(*command, folder=folder, env=OWN)
        assert (told.status, "warning: " in told.stderr) == (0, False), told.stderr
    assert json.loads(run_command(*pruning, folder=folder).stdout)["unknown_tables"] == ["thing_made"]
    chosen = run_command(*exporting, "--event", "tool_created", folder=folder)
    assert (chosen.status, "warning: " in chosen.stderr) == (0, False), chosen.stderr


def test_diff_looks_at_what_the_check_refuses(folder: Path) -> None:
    file = folder / "own" / "thing_made" / "v1.avsc"
    source = json.loads(file.read_text().replace('"maximum": 9}', '"maximum": 8}'))
    add(source, "later", {**KIND, "name": "Later"}, default="OTHER")
    (folder / "own" / "thing_made" / "v2.avsc").write_text(json.dumps(source))
    done = run_command("schemas", "diff", "thing_made", folder=folder, env=OWN)
    assert (done.status, "points[].x: maximum was 9 and is 8. Not allowed" in done.stdout) == (1, True), done.stdout
    shipped = run_command("schemas", "diff", "assistant_created", folder=folder, env=OWN)
    assert shipped.status == 0


def test_audit_knows_their_classes_and_fields(folder: Path) -> None:
    (folder / "app.py").write_text("telemetry.send_telemetry(ThingMade(kind=Kind.ONE, colour=1))\n")
    (call,) = json.loads(run_command("audit", "app.py", "--json", folder=folder).stdout)["calls"]
    assert call["event"] is None
    report = json.loads(run_command("audit", "app.py", "--json", folder=folder, env=OWN).stdout)
    assert [call["event"] for call in report["calls"]] == ["thing_made"]
    assert {finding["message"] for finding in report["findings"]} == {
        "thing_made: no schema names colour",
        *(f"thing_made: {name} is not given" for name in ("isNew", "points", "label")),
    }


def test_a_page_queries_a_table_whatever_it_is_called(folder: Path) -> None:
    write(folder / "own", "order", lambda source: None)
    page = run_command("schemas", "docs", "--schemas", "own", "--event", "order", folder=folder).stdout
    assert 'FROM "order" GROUP BY version' in page
