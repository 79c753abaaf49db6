"""A question to a sink: one SQL text over the sink's views, and how its rows are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flowise_telemetry_report.document import Chart, Column, Figure

__all__ = ["Base", "Parts", "Question", "QuestionSection", "Share", "category", "count", "share", "time"]


@dataclass(frozen=True, slots=True)
class Base:
    """Rows that several questions start from, so that an engine may make them once.

    ``uses`` are the bases that the text reads, ``needs`` the views. One that is not ``kept`` is cheap to make again.
    """

    name: str
    sql: str
    uses: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    kept: bool = True


@dataclass(frozen=True, slots=True)
class Share:
    """A column that is the part of one count in another, or in the sum of its own over the rows of a group."""

    column: str
    part: str
    whole: str = ""
    """Column of the whole, in the same row; empty: the sum of ``part`` over the rows that are alike in ``within``."""
    within: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Parts:
    """A finer figure whose rows of the same period, taken together, are all installations of a row of this one."""

    figure: str
    period: Literal["day", "week", "month"]
    """Column of this figure in which the first column of the finer one lies."""


@dataclass(frozen=True, slots=True)
class Question:
    """One figure, before it is asked.

    ``uses`` are the bases that the text reads, ``needs`` the views.

    For a public report: ``installations`` is the column that counts the installations behind a row; without one, no
    number of the figure is shown. ``known`` are columns of names that everyone knows, so that the row of a suppressed
    number may be shown. ``inward`` are counts that are left out. ``whole_of`` is a figure whose shown rows are summed
    up for the counts here, but for installations. ``parts`` are figures that divide this one's installations.
    """

    id: str
    title: str
    question: str
    chart: Chart
    columns: tuple[Column, ...]
    sql: str
    uses: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    note: str = ""
    installations: str = "installations"
    known: tuple[str, ...] = ()
    inward: tuple[str, ...] = ()
    shares: tuple[Share, ...] = ()
    parts: tuple[Parts, ...] = ()
    whole_of: str = ""

    def figure(self, rows: tuple[tuple[str | int | float | None, ...], ...], query: str, *, note: str = "") -> Figure:
        """Return the answer; ``note`` is added to the question's own."""
        notes = " ".join(filter(None, (self.note, note)))
        return Figure(self.id, self.title, self.question, self.chart, self.columns, rows, query, notes)


@dataclass(frozen=True, slots=True)
class QuestionSection:
    """Questions that belong together."""

    id: str
    title: str
    questions: tuple[Question, ...]


def time(name: str, label: str) -> Column:
    """Return a column of dates."""
    return Column(name, label, "time")


def category(name: str, label: str) -> Column:
    """Return a column of names."""
    return Column(name, label, "category")


def count(name: str, label: str) -> Column:
    """Return a column of whole numbers."""
    return Column(name, label, "count")


def share(name: str = "share", label: str = "Share") -> Column:
    """Return a column of parts of one."""
    return Column(name, label, "share")
