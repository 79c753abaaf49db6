"""The page that the command writes, against the sink: the SQL that it shows is run again, and each number compared."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from tests.cli.in_process import run_command
from tests.report.page.browser import Visit, launch, visit
from tests.report.world import World

LEAST_FIGURES = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("sink")
    World().write(f"sqlite:///{made}/telemetry.db")
    done = run_command("report", "--sink", "sqlite:///telemetry.db", "--out", "site", folder=made)
    assert done.status == 0, done.stderr
    return made


@pytest.fixture(scope="module")
def visited(folder: Path) -> Iterator[Visit]:
    with (
        sync_playwright() as playwright,
        closing(launch(playwright)) as browser,
        visit(browser, folder / "site" / "index.html") as opened,
    ):
        yield opened


def test_the_sql_of_each_figure_gives_its_table(visited: Visit, folder: Path) -> None:
    figures = visited.page.locator("article.figure").evaluate_all(
        """all => all.map((figure) => [
          figure.querySelector("h3").id,
          figure.querySelector("code").textContent,
          [...figure.querySelectorAll("tbody tr")].map((row) =>
            [...row.cells].map((cell) => cell.querySelector("data")?.value ?? cell.textContent)),
        ])"""
    )
    assert len(figures) >= LEAST_FIGURES
    with closing(sqlite3.connect(folder / "telemetry.db")) as sink:
        for name, query, table in figures:
            rows = [["unknown" if cell is None else str(cell) for cell in row] for row in sink.execute(query)]
            assert (name, sorted(table)) == (name, sorted(rows))
    assert sum(len(table) for _, _, table in figures) > 100


def test_each_figure_with_rows_is_drawn_or_told(visited: Visit) -> None:
    bare = visited.page.locator("article.figure:has(tbody)").evaluate_all(
        """all => all.filter((one) => !one.querySelector("canvas, .tiles, details[open] table"))
          .map((one) => one.innerText)"""
    )
    assert bare == []
    assert not visited.is_wide()
