"""A cell as people read it, and as the page's own programs do."""

from __future__ import annotations

from dataclasses import dataclass

from flowise_telemetry_report.document import Cell, ColumnKind

__all__ = ["NUMBERS", "ShownCell", "shown"]

NUMBERS: frozenset[ColumnKind] = frozenset({"count", "share"})
"""Kinds of column that hold numbers."""


@dataclass(frozen=True, slots=True)
class ShownCell:
    """A cell of a table."""

    text: str
    value: str | None
    """The exact number; None for texts and for what has no number."""
    is_number: bool
    """In a column of numbers, withheld or not."""
    is_withheld: bool


def shown(cell: Cell, kind: ColumnKind, k: int | None) -> ShownCell:
    """Return a cell as it is shown. None among numbers reads as fewer than ``k``, never as 0."""
    if kind not in NUMBERS:
        return ShownCell("—" if cell is None else str(cell), None, is_number=False, is_withheld=False)
    if cell is None:
        return ShownCell("no value" if k is None else f"< {k:,}", None, is_number=True, is_withheld=True)
    if isinstance(cell, str):
        return ShownCell(cell, None, is_number=True, is_withheld=False)
    text = f"{cell:.2%}" if kind == "share" else f"{cell:,}"
    return ShownCell(text, repr(cell), is_number=True, is_withheld=False)
