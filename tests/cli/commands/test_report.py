"""``report``: what it writes and prints, and what it says where it cannot."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

from flowise_telemetry_report.page import load_template
from tests.cli.in_process import run_command
from tests.report.world import World

SINK = ("--sink", "sqlite:///a.db")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("report")
    World(installations=6, events=120).write(f"sqlite:///{made}/a.db")
    return made


def test_a_folder_gets_the_page_and_its_numbers(folder: Path) -> None:
    done = run_command("report", *SINK, "--out", "site", folder=folder)
    assert (done.status, done.stdout) == (0, "")
    assert done.errors == ["20 figures of sqlite:///a.db in site"]
    site = folder / "site"
    document = json.loads((site / "report.json").read_text())
    figures = {figure["id"]: figure for section in document["sections"] for figure in section["figures"]}
    assert {file.name for file in site.iterdir()} == {
        "index.html",
        "report.json",
        *(f"{name}.csv" for name in figures),
    }
    with (site / "tools.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head == [column["name"] for column in figures["tools"]["columns"]]
    assert rows == [[str(cell) for cell in row] for row in figures["tools"]["rows"]]
    assert "Node types" in (site / "index.html").read_text()
    assert document["sink"] == "sqlite:///a.db"


def test_a_missing_extra_is_told_before_the_sink_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_template.cache_clear()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    done = run_command("report", "--sink", "sqlite:///nothing.db", "--out", "site", folder=tmp_path)
    assert (done.status, "flowise-telemetry[report]" in done.stderr) == (1, True)
    assert run_command("report", "--sink", "sqlite:///nothing.db", "--format", "json", folder=tmp_path).status == 1


def test_a_public_report_names_no_sink(folder: Path) -> None:
    done = run_command("report", *SINK, "--format", "json", "--public", "--k", "3", folder=folder)
    document = json.loads(done.stdout)
    assert (done.status, document["sink"], document["k"]) == (0, "sqlite", 3)
    assert "a.db" not in done.stdout
    page = run_command("report", *SINK, "--out", "page.html", "--public", folder=folder)
    assert page.status == 0
    assert "a.db" not in (folder / "page.html").read_text()


def test_markdown_has_a_table_for_each_figure(folder: Path) -> None:
    done = run_command("report", *SINK, "--format", "markdown", "--since", "2026-02-01", folder=folder)
    assert done.status == 0
    assert done.stdout.startswith("# Telemetry report\n\nsqlite:///a.db since 2026-02-01T00:00:00Z, made ")
    assert "| Tool | Installations | Tools |\n| --- | ---: | ---: |\n" in done.stdout
    assert "SELECT tool_name, count(DISTINCT instance_id) AS installations" in done.stdout
    assert run_command("report", *SINK, "--format", "markdown", "--out", "a.md", folder=folder).stdout == ""
    assert (folder / "a.md").read_text().startswith("# Telemetry report")


def test_no_events_is_said_in_one_line(folder: Path) -> None:
    done = run_command("report", *SINK, "--format", "markdown", "--since", "1d", folder=folder)
    assert done.status == 0
    assert "There are no events in this period." in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (SINK, 2, "--out: name a folder or a .html file to write the page to"),
        ((*SINK, "--k", "2", "--out", "x"), 2, "--k"),
        ((*SINK, "--since", "soon", "--out", "x"), 2, "--since: 'soon' is not a bound"),
        ((*SINK, "--out", "a.db/x"), 2, "--out: a.db/x cannot be made: Not a directory"),
        (
            ("--sink", "jsonl:///a.jsonl", "--out", "x"),
            1,
            "jsonl cannot be asked: these can: sqlite, duckdb, postgresql",
        ),
        (("--sink", "sqlite:///no.db", "--out", "x"), 1, "no.db cannot be opened"),
        (("--sink", "duckdb:///no.db", "--out", "x"), 1, "no.db cannot be opened"),
        (("--sink", "ftp://a", "--out", "x"), 2, "not the URL of a sink"),
    ],
)
def test_what_cannot_be_is_one_line(arguments: tuple[str, ...], status: int, said: str, folder: Path) -> None:
    done = run_command("report", *arguments, folder=folder)
    assert (done.status, done.stdout) == (status, "")
    assert said in done.errors[-1]
    assert not (folder / "x").exists()
