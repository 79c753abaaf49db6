"""A report as Markdown: a table for each figure."""

from __future__ import annotations

from collections.abc import Iterator

from flowise_telemetry_report.document import Cell, Column, Figure, Report

__all__ = ["as_markdown"]

_MOST_ROWS = 40
"""Rows of a table; files and JSON have all."""

_SUPPRESSED = "withheld"


def as_markdown(report: Report) -> str:
    """Return the report as Markdown text, at most 40 rows a figure; the query of each follows it, folded."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield "# Telemetry report"
    yield ""
    since = f" since {report.since}" if report.since else ""
    yield f"{report.sink}{since}, made {report.generated_at}."
    for note in report.notes:
        yield f"- {note}" if note is not report.notes[0] else f"\n- {note}"
    for section in report.sections:
        yield f"\n## {section.title}"
        for figure in section.figures:
            yield from _figure(figure, report.k)


def _figure(figure: Figure, k: int | None) -> Iterator[str]:
    yield f"\n### {figure.title}\n\n{figure.question}\n"
    if figure.rows:
        yield "| " + " | ".join(_escaped(column.label) for column in figure.columns) + " |"
        yield "| " + " | ".join("---" if not _is_number(column) else "---:" for column in figure.columns) + " |"
        for row in figure.rows[:_MOST_ROWS]:
            yield "| " + " | ".join(map(_shown, figure.columns, row)) + " |"
        if len(figure.rows) > _MOST_ROWS:
            yield f"\n{len(figure.rows) - _MOST_ROWS:,} more rows are not shown here."
    else:
        yield "Nothing."
    if figure.suppressed:
        yield f"\n{figure.suppressed:,} numbers are not shown: fewer than {k} installations are behind each."
    if figure.note:
        yield f"\n{figure.note}"
    yield f"\n<details><summary>SQL</summary>\n\n```sql\n{figure.query}\n```\n\n</details>"


def _is_number(column: Column) -> bool:
    return column.kind in ("count", "share")


def _shown(column: Column, cell: Cell) -> str:
    if cell is None:
        return _SUPPRESSED
    if column.kind == "share":
        return f"{float(cell):.1%}"
    return f"{cell:,}" if isinstance(cell, int) else _escaped(str(cell))


def _escaped(text: str) -> str:
    """Return a text that ends no cell and begins no markup."""
    return "".join(f"\\{character}" if character in r"\|`*_[]<>#" else character for character in text)
