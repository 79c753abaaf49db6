"""A report as values: what the queries make, and what a page, JSON and Markdown show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Cell", "Chart", "Column", "ColumnKind", "Figure", "Report", "Section"]

Cell = str | int | float | None
"""A value of a row. None in a column of numbers is a suppressed cell; times are RFC 3339 or a date, UTC."""

ColumnKind = Literal["time", "category", "count", "share"]
"""What a column holds: a time, a name, a whole number, or a part of one between 0 and 1."""

Chart = Literal["number", "line", "bar", "stacked", "heatmap", "graph", "table"]
"""How a page draws a figure. ``graph``: the first two columns name the ends of an edge, the third its weight."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a figure."""

    name: str
    label: str
    kind: ColumnKind


@dataclass(frozen=True, slots=True)
class Figure:
    """One question and its answer: rows of one query, which anyone can run again."""

    id: str
    """Name of the figure in files and anchors, snake_case, unique in a report."""
    title: str
    question: str
    """What the figure answers, in one sentence."""
    chart: Chart
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    query: str
    """The SQL text that made the rows, before any suppression."""
    note: str = ""
    """What the numbers cannot tell."""
    suppressed: int = 0
    """Cells that were withheld because fewer than ``Report.k`` installations are behind them."""


@dataclass(frozen=True, slots=True)
class Section:
    """Figures that belong together."""

    id: str
    title: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that one run of the report found."""

    generated_at: str
    """RFC 3339, UTC."""
    since: str | None
    """First moment that counts, RFC 3339; None for all that there is."""
    sink: str
    """URL of the sink without passwords; the kind alone in a public report."""
    k: int | None
    """Fewest installations that a public report shows; None where nothing is suppressed."""
    sections: tuple[Section, ...] = ()
    notes: tuple[str, ...] = field(default=())
    """What holds for the whole report, one sentence each."""
