"""Values that a chart draws, and the sentence that tells it."""

from __future__ import annotations

from typing import Any

import pytest

from flowise_telemetry_report import Column, Figure
from flowise_telemetry_report.document import Cell, Chart
from flowise_telemetry_report.page.drawing import DRAWN_SERIES, drawing
from flowise_telemetry_report.page.summary import summary

DAY = Column("day", "Day", "time")
NODE = Column("node", "Node", "category")
VENDOR = Column("vendor", "Vendor", "category")
EVENTS = Column("events", "Events", "count")
INSTALLATIONS = Column("installations", "Installations", "count")
SHARE = Column("share", "Share", "share")


def figure(chart: Chart, columns: tuple[Column, ...], *rows: tuple[Cell, ...]) -> Figure:
    return Figure("a_figure", "A figure", "Which?", chart, columns, rows, "SELECT 1")


def drawn_of(chart: Chart, columns: tuple[Column, ...], *rows: tuple[Cell, ...]) -> dict[str, Any]:
    drawn = drawing(figure(chart, columns, *rows))
    assert drawn is not None
    return drawn


def series(drawn: dict[str, Any], measure: int = 0) -> dict[str, list[Any]]:
    return {one["name"]: one["values"] for one in drawn["measures"][measure]["series"]}


def test_each_column_of_numbers_is_a_measure() -> None:
    drawn = drawn_of("line", (DAY, EVENTS, INSTALLATIONS), ("2026-11-02", 5, 1), ("2026-11-01", 7, 2))
    assert drawn["panels"] is True
    assert series(drawn, 0) == {"Events": [7, 5]}
    assert series(drawn, 1) == {"Installations": [2, 1]}


def test_a_second_dimension_makes_series() -> None:
    rows = (("2026-11-01", "a", 1), ("2026-11-01", "b", 2), ("2026-11-02", "a", None))
    assert series(drawn_of("stacked", (DAY, NODE, EVENTS), *rows)) == {"a": [1, "withheld"], "b": [2, None]}


@pytest.mark.parametrize(
    ("names", "along"),
    [
        (
            ("2026-02-28", "2026-03-03", "2026-03-04"),
            ["2026-02-28", "2026-03-01", "2026-03-02", "2026-03-03", "2026-03-04"],
        ),
        (("2026-11-16", "2026-11-02"), ["2026-11-02", "2026-11-09", "2026-11-16"]),
        (("2026-01-01", "2026-03-01", "2026-02-01"), ["2026-01-01", "2026-02-01", "2026-03-01"]),
        (("2026-01-01",), ["2026-01-01"]),
        (("0001-01-01", "0001-01-02", "2026-01-01"), ["0001-01-01", "0001-01-02", "2026-01-01"]),
        (("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"), ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]),
        (("never", "2026-01-01"), ["2026-01-01", "never"]),
    ],
)
def test_a_day_without_rows_has_its_place(names: tuple[str, ...], along: list[str]) -> None:
    drawn = drawn_of("stacked", (DAY, EVENTS), *((name, 5) for name in names))
    assert drawn["x"]["names"] == along
    assert series(drawn)["Events"] == [5 if name in names else None for name in along]


def test_installations_are_not_stacked() -> None:
    rows = (("2026-11-01", "a", 1, 4), ("2026-11-02", "a", 2, 5))
    measures = drawn_of("stacked", (DAY, NODE, EVENTS, INSTALLATIONS), *rows)["measures"]
    assert [measure["stacks"] for measure in measures] == [True, False]


def test_no_more_series_than_can_be_told_apart() -> None:
    rows = tuple(("2026-11-01", f"version {n}", n) for n in range(DRAWN_SERIES + 3))
    drawn = drawn_of("line", (DAY, NODE, EVENTS), *rows)
    assert list(series(drawn)) == [f"version {n}" for n in range(3, DRAWN_SERIES + 3)]
    assert drawn["measures"][0]["left_out"] == 3


def test_bars_of_a_full_grid_are_groups() -> None:
    rows = (("a", "x", 1), ("a", "y", 2), ("b", "x", 3), ("b", "y", 4))
    assert series(drawn_of("bar", (NODE, VENDOR, EVENTS), *rows)) == {"x": [1, 3], "y": [2, 4]}


def test_a_name_that_only_describes_another_makes_no_bars() -> None:
    drawn = drawn_of("bar", (NODE, VENDOR, EVENTS), ("a", "x", 1), ("b", "y", 2))
    assert drawn["x"]["names"] == ["a", "b"]
    assert series(drawn) == {"Events": [1, 2]}


def test_bars_with_holes_have_both_names() -> None:
    drawn = drawn_of("bar", (NODE, VENDOR, EVENTS), ("a", "x", 1), ("a", "y", 2), ("b", "y", 3))
    assert drawn["x"]["names"] == ["a · x", "a · y", "b · y"]
    assert series(drawn) == {"Events": [1, 2, 3]}


def test_a_number_that_is_always_the_same_is_not_drawn() -> None:
    whole = Column("of_flows", "Of flows", "count")
    drawn = drawn_of("bar", (NODE, SHARE, whole), ("a", 0.5, 20), ("b", 0.25, 20))
    assert len(drawn["measures"]) == 1
    assert series(drawn) == {"Share": [0.5, 0.25]}


def test_a_chart_needs_rows_and_numbers() -> None:
    assert drawing(figure("bar", (NODE, EVENTS))) is None
    assert drawing(figure("bar", (NODE, VENDOR), ("a", "x"))) is None
    assert drawing(figure("table", (NODE, EVENTS), ("a", 1))) is None


def test_a_line_is_told_by_its_extremes() -> None:
    drawn = drawn_of("line", (DAY, EVENTS), ("2026-11-01", 1200), ("2026-11-02", None), ("2026-11-03", 7))
    assert summary(drawn, 20) == (
        "Line chart by Day, 2026-11-01 to 2026-11-03. Events: lowest 7 (2026-11-03), highest 1,200 (2026-11-01), "
        "last 7. Withheld values of fewer than 20 installations are not drawn. Every number is in the table."
    )


def test_bars_are_told_by_the_largest() -> None:
    drawn = drawn_of("bar", (NODE, SHARE), ("a", 0.125), ("b", 0.5))
    assert summary(drawn, None) == (
        "Bar chart by Node, 2 names. Share: most for b (50.00%), a (12.50%). Every number is in the table."
    )


def test_a_graph_is_told_by_its_heaviest_connections() -> None:
    drawn = drawn_of("graph", (NODE, VENDOR, EVENTS), ("a", "b", 3), ("b", "a", 5), ("a", "a", None))
    assert summary(drawn, 20) == (
        "Graph of 2 nodes and 3 connections. Events: most for b to a (5), a to b (3). "
        "Withheld values of fewer than 20 installations are not drawn. Every number is in the table."
    )
