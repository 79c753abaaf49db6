"""The answer to a question, before anything of it is suppressed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flowise_telemetry_report.document import Cell, Column
from flowise_telemetry_report.questions import Question

__all__ = ["Answer", "AnsweredSection", "Row", "cells"]

Row = tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows of a question's query; ``note`` says why there are none where that is not for want of events."""

    question: Question
    rows: tuple[Row, ...]
    query: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class AnsweredSection:
    """Answers that belong together."""

    id: str
    title: str
    answers: tuple[Answer, ...]


def cells(columns: Sequence[Column], row: Sequence[Any]) -> Row:
    """Return the values of a database as a report has them: dates as text, counts as int, shares as float."""
    return tuple(_cell(column, value) for column, value in zip(columns, row, strict=True))


def _cell(column: Column, value: Any) -> Cell:
    match column.kind:
        case "count":
            return int(value or 0)
        case "share":
            return round(float(value or 0), 4)
        case "time":
            return str(value)[:10]
        case _:
            return "unknown" if value is None else str(value)
