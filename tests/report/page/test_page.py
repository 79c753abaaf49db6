"""The page as text: what it shows, what it escapes, what it lets a browser do."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from flowise_telemetry_report import Column, Figure, Report, Section
from flowise_telemetry_report.page import render, rendering
from tests.report.page.example import HOSTILE, K, example

ROOT = Path(__file__).parents[3]
MOST_BYTES = 1_500_000
EMPTY = Report("2026-11-27T21:00:00Z", None, "sqlite", None)


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the text of each script and style."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.inline: list[tuple[str, dict[str, str | None], str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, text: str) -> None:
        tag, attributes = self.found[-1] if self.found else ("", {})
        if tag in ("script", "style") and self.lasttag == tag and text.strip():
            self.inline.append((tag, attributes, text))


@pytest.fixture(scope="module")
def page() -> str:
    return render(example())


@pytest.fixture(scope="module")
def elements(page: str) -> Elements:
    return Elements(page)


def between(text: str, start: str, end: str) -> str:
    return text.partition(start)[2].partition(end)[0]


def figures() -> list[Figure]:
    return [figure for section in example().sections for figure in section.figures]


def one_figure(**changes: object) -> Report:
    columns = (Column("name", "Name", "category"), Column("tools", "Tools", "count"))
    figure = Figure("tools", "Tools", "Which?", "bar", columns, (("calculator", 20),), "SELECT 1")
    return replace(EMPTY, sections=(Section("use", "Use", (replace(figure, **changes),)),))  # type: ignore[arg-type]


def test_a_report_is_always_the_same_page(page: str) -> None:
    assert render(example()) == page


def test_a_page_is_small_enough_to_send(page: str) -> None:
    assert len(page.encode()) < MOST_BYTES


def test_the_chart_library_is_the_one_that_was_published() -> None:
    file = Path(rendering.__file__).parent / rendering.LIBRARY
    told = (ROOT / "docs/adr/0043-a-page-that-stands-alone.md").read_text(encoding="utf-8")
    assert hashlib.sha256(file.read_bytes()).hexdigest() in told
    assert f"echarts@{rendering.LIBRARY_VERSION} " in told


def test_nothing_is_fetched_from_anywhere(elements: Elements) -> None:
    addresses = [
        value
        for _, attributes in elements.found
        for name, value in attributes.items()
        if value and name in {"action", "data", "href", "poster", "src", "srcset"}
    ]
    assert addresses
    assert [address for address in addresses if not address.startswith("#") and address != "data:,"] == []
    (style,) = [text for tag, _, text in elements.inline if tag == "style"]
    assert not re.search(r"url\(|@import", style)


def test_the_policy_names_what_may_run_by_its_digest(elements: Elements) -> None:
    (policy,) = [
        attributes["content"] or ""
        for tag, attributes in elements.found
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split("; ")}
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == ["'none'"]
    for directive, tag in (("script-src", "script"), ("style-src", "style")):
        inline = [text for name, attributes, text in elements.inline if name == tag and "type" not in attributes]
        digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in inline]
        assert rules[directive] == [f"'sha256-{digest}'" for digest in digests]
    assert rules.keys() == {"default-src", "script-src", "style-src", "img-src", "base-uri", "form-action"}


def test_no_attribute_holds_style_or_program(elements: Elements) -> None:
    names = {name for _, attributes in elements.found for name in attributes}
    assert not {name for name in names if name == "style" or name.startswith("on")}


@pytest.mark.parametrize("figure", figures(), ids=lambda figure: figure.id)
def test_each_number_of_a_figure_is_in_its_table(page: str, figure: Figure) -> None:
    article = between(page, f'<article class="figure" aria-labelledby="{figure.id}">', "</article>")
    table = between(article, "<tbody>", "</tbody>") if figure.rows else ""
    kinds = [column.kind for column in figure.columns]
    numbers = [cell for row in figure.rows for cell, kind in zip(row, kinds, strict=True) if kind in ("count", "share")]

    assert re.findall(r'<data value="([^"]*)">', table) == [repr(cell) for cell in numbers if cell is not None]
    assert table.count(f'<span class="withheld">&lt; {K}</span>') == numbers.count(None)
    assert figure.question in article


def test_hostile_texts_stay_texts(page: str) -> None:
    hostile = Report(HOSTILE, HOSTILE, HOSTILE, 20, (), (HOSTILE,))
    columns = (Column(HOSTILE, HOSTILE, "category"), Column("to", HOSTILE, "category"), Column("n", HOSTILE, "count"))
    rows = ((HOSTILE, "b", 30), ("b", HOSTILE, None))
    charts = ("number", "line", "bar", "stacked", "heatmap", "graph", "table")
    made = tuple(Figure(f"f_{c}", HOSTILE, HOSTILE, c, columns, rows, HOSTILE, HOSTILE, 1) for c in charts)  # type: ignore[arg-type]
    parsed = Elements(render(replace(hostile, sections=(Section("s", HOSTILE, made),))))

    assert {tag for tag, _ in parsed.found} <= {tag for tag, _ in Elements(page).found}
    assert not {name for _, attributes in parsed.found for name in attributes} & {"onerror"}
    assert len([tag for tag, _ in parsed.found if tag == "script"]) == 3
    (data,) = [text for _, attributes, text in parsed.inline if attributes.get("type") == "application/json"]
    assert json.loads(data)["drawings"]["f_bar"]["x"]["names"] == [HOSTILE, "b"]


def test_a_withheld_number_is_never_zero(page: str) -> None:
    article = between(page, '<article class="figure" aria-labelledby="tools">', "</article>")
    assert "1 cell withheld (fewer than 20 installations)." in article
    assert '<td class="number"><span class="withheld">&lt; 20</span></td>' in article
    assert ">0<" not in article


def test_the_query_is_shown_as_it_is() -> None:
    assert "<code>SELECT a\n  FROM b WHERE c &lt; 3</code>" in render(
        one_figure(query="SELECT a\n  FROM b WHERE c < 3\n")
    )


def test_nothing_to_show_is_said() -> None:
    assert "No data: this sink holds no event" in render(EMPTY)
    nothing = render(one_figure(rows=()))
    assert "No data: this sink holds no event" in nothing
    assert "No data: nothing in the sink answers this." in nothing
    assert "No data" not in render(one_figure())


def test_a_chart_that_leaves_something_out_says_so() -> None:
    columns = (Column("name", "Name", "category"), Column("tools", "Tools", "count"))
    rows = tuple((f"tool {n}", 100 - n) for n in range(40))
    assert "The chart shows the first 30 of 40; the table has all of them." in render(
        one_figure(columns=columns, rows=rows)
    )


def test_each_chart_is_told_in_words(elements: Elements) -> None:
    told = [attributes["aria-label"] or "" for _, attributes in elements.found if attributes.get("role") == "img"]
    assert len(told) == len([figure for figure in figures() if figure.rows and figure.chart not in ("number", "table")])
    assert all(text.endswith("Every number is in the table.") for text in told)
    assert told[0].startswith("Line chart by Day (UTC), 2026-10-28 to 2026-11-26. Events: lowest ")


def test_headings_go_down_one_level_at_a_time(page: str) -> None:
    levels = [int(level) for level in re.findall(r"<h(\d)[ >]", between(page, "<main", "</main>"))]
    assert levels[0] == 2
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_ids_are_there_once(elements: Elements) -> None:
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {(attributes.get("href") or "")[1:] for tag, attributes in elements.found if tag == "a"}
    assert targets <= set(ids)
