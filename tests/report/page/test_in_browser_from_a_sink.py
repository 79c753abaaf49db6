"""The page that the command writes, against the sink: the SQL that it shows is run again, and each number compared."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.cli.in_process import run_command
from tests.report.page.browser import ONE_ROW_IS_AS_THE_NEXT, Visit, launch, visit
from tests.report.world import World

LEAST_FIGURES = 20
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("sink")
    World().write(f"sqlite:///{made}/telemetry.db")
    done = run_command("report", "--sink", "sqlite:///telemetry.db", "--out", "site", folder=made)
    assert done.status == 0, done.stderr
    return made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright, closing(launch(playwright)) as started:
        yield started


@pytest.fixture(scope="module")
def visited(browser: Browser, folder: Path) -> Iterator[Visit]:
    with visit(browser, folder / "site" / "index.html") as opened:
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


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_whole_on_a_phone(browser: Browser, folder: Path, scheme: Literal["light", "dark"]) -> None:
    with visit(browser, folder / "site" / "index.html", color_scheme=scheme, viewport=PHONE) as visited:
        visited.open_everything()
        visited.page.evaluate(ONE_ROW_IS_AS_THE_NEXT)
        assert not visited.is_wide()
        assert visited.violations() == []
