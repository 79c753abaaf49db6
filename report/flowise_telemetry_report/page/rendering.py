"""A report as one HTML page that needs nothing beside it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowise_telemetry_report.document import Figure, Report
from flowise_telemetry_report.page.cells import NUMBERS, ShownCell, shown
from flowise_telemetry_report.page.drawing import DRAWN_BARS, drawing
from flowise_telemetry_report.page.policy import content_security_policy
from flowise_telemetry_report.page.summary import summary
from flowise_telemetry_schemas import MissingExtraError

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["load_template", "render"]

HERE = Path(__file__).parent
LIBRARY = "vendor/echarts.min.js"
LIBRARY_VERSION = "6.1.0"
SCRIPTS = ("format", "cartesian", "heatmap", "layout", "graph", "figures", "page")
"""Parts of the page's own program, in the order in which they need each other."""


@dataclass(frozen=True, slots=True)
class ShownFigure:
    """A figure and what the template says of it."""

    figure: Figure
    rows: list[list[ShownCell]]
    tiles: list[tuple[str, ShownCell]]
    """Of a figure of single numbers, each with its label."""
    drawing: dict[str, Any] | None
    summary: str
    left_out: list[str]
    """Sentences about what is in the table and not in the chart."""


def render(report: Report) -> str:
    """Return the page: the same text for the same report. Raises ``MissingExtraError`` without Jinja.

    All that the report holds is taken for hostile: the template escapes it, and the page's program makes no HTML of it.
    """
    figures = [[_shown(figure, report.k) for figure in section.figures] for section in report.sections]
    library, program, style = _text(LIBRARY), _program(), _text("style.css")
    drawings = {one.figure.id: one.drawing for section in figures for one in section if one.drawing}
    return load_template().render(
        report=report,
        sections=list(zip(report.sections, figures, strict=True)),
        has_data=any(one.figure.rows for section in figures for one in section),
        numbers=NUMBERS,
        policy=content_security_policy([library, program], [style]),
        data={"k": report.k, "drawings": drawings},
        library=library,
        library_version=LIBRARY_VERSION,
        program=program,
        style=style,
    )


def _shown(figure: Figure, k: int | None) -> ShownFigure:
    rows = [
        [shown(cell, column.kind, k) for cell, column in zip(row, figure.columns, strict=True)] for row in figure.rows
    ]
    drawn = drawing(figure)
    return ShownFigure(
        figure,
        rows,
        _tiles(figure, rows) if figure.chart == "number" else [],
        drawn,
        summary(drawn, k) if drawn else "",
        _left_out(drawn) if drawn else [],
    )


def _tiles(figure: Figure, rows: list[list[ShownCell]]) -> list[tuple[str, ShownCell]]:
    tiles = []
    for row in rows:
        names = [cell.text for cell in row if not cell.is_number]
        for column, cell in zip(figure.columns, row, strict=True):
            if cell.is_number:
                tiles.append((", ".join([*names, column.label]), cell))
    return tiles


def _left_out(drawn: dict[str, Any]) -> list[str]:
    told = []
    if names := drawn.get("x", {}).get("left_out", 0):
        told.append(f"The chart shows the first {DRAWN_BARS:,} of {DRAWN_BARS + names:,}; the table has all of them.")
    if left_out := max((measure.get("left_out", 0) for measure in drawn["measures"]), default=0):
        told.append(f"The chart leaves out the {left_out:,} smallest series; the table has all of them.")
    return told


def _moment(text: str) -> str:
    """Return a time as people write it; the text itself where it is none."""
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return text
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


@cache
def _text(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


@cache
def _program() -> str:
    parts = "\n".join(_text(f"script/{name}.js") for name in SCRIPTS)
    return f'(() => {{\n"use strict";\n{parts}}})();\n'


@cache
def load_template() -> Template:
    """Load the page's template. Raises ``MissingExtraError``, which is better told before a sink is asked."""
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise MissingExtraError("jinja2", "report") from error
    environment = Environment(
        autoescape=True,
        keep_trailing_newline=True,
        loader=FileSystemLoader(HERE / "templates"),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["moment"] = _moment
    return environment.get_template("page.html.jinja")
