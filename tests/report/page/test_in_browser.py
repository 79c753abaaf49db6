"""The page in a browser: charts, graph, theme, phone, keyboard, screen readers, paper. ``make test-report``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from flowise_telemetry_report import Column, Figure, Report, Section
from flowise_telemetry_report.page import render
from tests.report.page.browser import ONE_ROW_IS_AS_THE_NEXT, Visit, launch, visit
from tests.report.page.example import HOSTILE, K, example

PHONE = {"width": 360, "height": 740}
DRAWN = ("line", "bar", "stacked", "heatmap", "graph")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = launch(playwright)
        yield started
        started.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render(example()), encoding="utf-8")
    return path


@pytest.fixture
def visited(browser: Browser, file: Path) -> Iterator[Visit]:
    with visit(browser, file) as opened:
        yield opened


FIGURES = {figure.id: figure for section in example().sections for figure in section.figures}


def numbers(figure: Figure) -> list[float | None]:
    """The numbers of a figure, row after row."""
    is_number = [column.kind in ("count", "share") for column in figure.columns]
    return [
        cell if isinstance(cell, int | float) else None
        for row in figure.rows
        for cell, wanted in zip(row, is_number, strict=True)
        if wanted
    ]


def drawn_values(option: dict[str, Any]) -> list[float]:
    """All numbers that a chart draws, sorted."""
    found = []
    for series in option["series"]:
        for item in series["data"]:
            value = item.get("value") if isinstance(item, dict) else item
            found.append(value[-1] if isinstance(value, list) else value)
    return sorted(value for value in found if value is not None)


def test_each_table_holds_the_numbers_of_the_report(visited: Visit) -> None:
    for name, figure in FIGURES.items():
        cells = (
            visited.figure(name)
            .locator("td.number")
            .evaluate_all("cells => cells.map((cell) => [cell.querySelector('data')?.value ?? null, cell.textContent])")
        )
        expected = numbers(figure)
        assert [None if value is None else float(value) for value, _ in cells] == expected
        assert {text for value, text in cells if value is None} <= {f"< {K}"}


@pytest.mark.parametrize("name", ["events_by_day", "predictions", "versions", "flow_sizes", "lost"])
def test_each_chart_draws_the_numbers_of_the_report(visited: Visit, name: str) -> None:
    assert drawn_values(visited.option(name)) == sorted(n for n in numbers(FIGURES[name]) if n is not None)


def test_every_chart_has_a_picture_of_some_size(visited: Visit) -> None:
    charts = visited.page.locator(".chart")
    sizes = charts.evaluate_all("all => all.map((one) => [one.clientWidth, one.querySelector('canvas').clientHeight])")
    assert len(sizes) == len([one for one in FIGURES.values() if one.chart in DRAWN and one.rows])
    assert min(min(size) for size in sizes) > 100


def test_one_measure_is_drawn_at_a_time(visited: Visit) -> None:
    figure = visited.figure("node_types")
    first = drawn_values(visited.option("node_types"))
    figure.get_by_role("radio", name="Installations").check()
    assert drawn_values(visited.option("node_types")) != first
    assert max(drawn_values(visited.option("node_types"))) == FIGURES["node_types"].rows[0][3]


def test_a_series_is_taken_away_and_brought_back(visited: Visit) -> None:
    button = visited.figure("predictions").get_by_role("button", name="INTERNAL")
    for on in (False, True):
        button.click()
        expect(button).to_have_attribute("aria-pressed", str(on).lower())
        assert visited.option("predictions")["legend"][0]["selected"].get("INTERNAL", True) is on


def neighbours(name: str) -> set[object]:
    rows = FIGURES["pairs"].rows
    return {row[1] for row in rows if row[0] == name} | {row[0] for row in rows if row[1] == name}


def test_a_click_on_a_node_lists_its_neighbours(visited: Visit) -> None:
    figure = visited.figure("pairs")
    chart = figure.locator(".chart")
    chart.scroll_into_view_if_needed()
    place = chart.evaluate(
        """place => {
          const chart = echarts.getInstanceByDom(place);
          const { x, y } = chart.getOption().series[0].data.find((node) => node.name === "chatOpenAI");
          const [left, top] = chart.convertToPixel({ seriesIndex: 0 }, [x, y]);
          return { x: left, y: top };
        }"""
    )
    chart.click(position=place)
    expect(figure.get_by_role("heading", level=4)).to_have_text("chatOpenAI")
    expect(figure.get_by_label("Node", exact=True)).to_have_value("chatOpenAI")
    assert set(figure.locator(".neighbours li button").all_text_contents()) == neighbours("chatOpenAI")
    chart.click(position={"x": 2, "y": 2})
    expect(figure.get_by_role("heading", level=4)).to_have_count(0)


def test_the_graph_is_walked_by_keyboard(visited: Visit) -> None:
    figure = visited.figure("pairs")
    figure.get_by_label("Node", exact=True).focus()
    visited.page.keyboard.type("pinecone")
    expect(figure.get_by_role("heading", level=4)).to_have_text("pinecone")
    expect(visited.page.locator("#page-status")).to_contain_text("pinecone: ")
    assert set(figure.locator(".neighbours li button").all_text_contents()) == neighbours("pinecone")
    visited.page.keyboard.press("Tab")
    following = visited.page.evaluate("document.activeElement.textContent")
    visited.page.keyboard.press("Enter")
    expect(figure.get_by_role("heading", level=4)).to_have_text(following)
    expect(figure.get_by_role("heading", level=4)).to_be_focused()


def test_weak_connections_are_filtered_out(visited: Visit) -> None:
    figure = visited.figure("pairs")
    slider = figure.get_by_label("Weakest connection shown")
    weights = sorted((row[2] for row in FIGURES["pairs"].rows if isinstance(row[2], int)), reverse=True)
    slider.focus()
    visited.page.keyboard.press("Home")
    assert len(visited.option("pairs")["series"][0]["links"]) == len(FIGURES["pairs"].rows)
    visited.page.keyboard.press("End")
    assert [link["value"] for link in visited.option("pairs")["series"][0]["links"]] == weights[:1]
    expect(figure.get_by_role("status")).to_contain_text(f"{weights[0]:,} or more, 1 of {len(FIGURES['pairs'].rows)}")


def test_the_theme_is_switched_and_remembered(visited: Visit) -> None:
    page = visited.page
    colours = []
    for theme in ("Light", "Dark"):
        page.get_by_role("radio", name=theme).check()
        colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        colours.append(visited.option("lost")["series"][0]["color"])
    assert len(set(colours)) == 4
    page.reload()
    expect(page.get_by_role("radio", name="Dark")).to_be_checked()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == colours[2]


def test_the_theme_follows_the_system(visited: Visit) -> None:
    colours = set()
    for scheme in ("light", "dark"):
        visited.page.emulate_media(color_scheme=scheme)
        colours.add(visited.page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(colours) == 2


def test_nothing_reaches_out_of_a_phone(visited: Visit) -> None:
    visited.page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    visited.open_everything()
    # Charts are drawn again when the browser tells them their new width.
    visited.page.wait_for_function(
        """[...document.querySelectorAll(".chart canvas")]
          .every((one) => one.clientWidth <= one.closest(".chart").clientWidth)"""
    )
    assert not visited.is_wide()


def test_all_is_reached_by_keyboard(visited: Visit) -> None:
    page = visited.page
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the figures")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    visited.open_everything()
    wanted = page.evaluate(
        """() => {
          const all = [...document.querySelectorAll("main :is(summary, button, select, input, [tabindex='0'])")];
          const shown = all.filter((one) => one.checkVisibility() && (one.type !== "radio" || one.checked));
          shown.forEach((one, number) => (one.dataset.number = number));
          return shown.length;
        }"""
    )
    reached = []
    for _ in range(wanted):
        page.keyboard.press("Tab")
        number, outline = page.evaluate(
            """() => {
              const now = document.activeElement;
              const ringed = now.type === "radio" ? now.nextElementSibling : now;
              return [now.dataset.number, getComputedStyle(ringed).outlineStyle];
            }"""
        )
        reached.append(number)
        assert outline not in ("none", "")
    assert reached == [str(number) for number in range(wanted)]


def test_the_sql_is_copied(browser: Browser, file: Path) -> None:
    with visit(browser, file, permissions=["clipboard-read", "clipboard-write"]) as visited:
        figure = visited.figure("events_by_day")
        figure.get_by_text("SQL", exact=False).first.click()
        figure.get_by_role("button", name="Copy").click()
        expect(visited.page.locator("#page-status")).to_have_text("SQL copied")
        assert visited.page.evaluate("navigator.clipboard.readText()") == FIGURES["events_by_day"].query


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [{"width": 1280, "height": 900}, PHONE], ids=["desk", "phone"])
def test_axe_finds_no_violation(browser: Browser, file: Path, scheme: str, size: dict[str, int]) -> None:
    with visit(browser, file, color_scheme=scheme, viewport=size) as visited:
        visited.open_everything()
        visited.figure("pairs").get_by_label("Node", exact=True).select_option("pinecone")
        visited.page.evaluate(ONE_ROW_IS_AS_THE_NEXT)
        assert visited.violations() == []


def test_paper_is_light_and_the_screen_stays_dark(browser: Browser, file: Path) -> None:
    with visit(browser, file, color_scheme="dark") as visited:
        background = visited.page.evaluate("getComputedStyle(document.body).backgroundColor")
        visited.page.evaluate(
            "addEventListener('beforeprint', () => (window.themeOnPaper = document.documentElement.dataset.theme))"
        )
        assert visited.page.pdf().startswith(b"%PDF")
        assert visited.page.evaluate("window.themeOnPaper") == "light"
        assert visited.page.evaluate("getComputedStyle(document.body).backgroundColor") == background


def test_numbers_are_there_without_javascript(browser: Browser, file: Path) -> None:
    with visit(browser, file, java_script_enabled=False) as visited:
        visited.figure("lost").locator("summary").first.click()
        expect(visited.figure("lost").locator("td.number").first).to_be_visible()
        expect(visited.page.locator(".chart-box").first).to_be_hidden()


def test_hostile_names_do_nothing(browser: Browser, tmp_path: Path) -> None:
    columns = (Column(HOSTILE, HOSTILE, "category"), Column("to", HOSTILE, "category"), Column("n", HOSTILE, "count"))
    rows = ((HOSTILE, "b", 30), ("b", HOSTILE, None))
    made = tuple(Figure(f"f_{c}", HOSTILE, HOSTILE, c, columns, rows, HOSTILE) for c in DRAWN)  # type: ignore[arg-type]
    file = tmp_path / "hostile.html"
    file.write_text(render(Report(HOSTILE, None, HOSTILE, 20, (Section("s", HOSTILE, made),))), encoding="utf-8")
    with visit(browser, file) as visited:
        for name in DRAWN:
            chart = visited.figure(f"f_{name}").locator(".chart")
            chart.evaluate(
                """place => {
                  const tip = { type: "showTip", seriesIndex: 0, dataIndex: 0 };
                  echarts.getInstanceByDom(place).dispatchAction(tip);
                }"""
            )
            chart.hover()
        visited.figure("f_graph").get_by_label("Node", exact=True).select_option(HOSTILE)
        expect(visited.figure("f_graph").get_by_role("heading", level=4)).to_have_text(HOSTILE)
        assert visited.page.locator("img").count() == 0


def test_nothing_to_show_is_no_error(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "empty.html"
    file.write_text(render(Report("2026-11-27T21:00:00Z", None, "sqlite", None)), encoding="utf-8")
    with visit(browser, file) as visited:
        expect(visited.page.get_by_text("No data: ")).to_be_visible()
