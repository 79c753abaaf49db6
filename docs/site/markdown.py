"""Tables and code of Markdown, out of docstrings and help texts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = ["code", "prose", "table"]


def code(text: str) -> str:
    """Return the text as a code span, or nothing for no text."""
    return f"`{text}`" if text else ""


def prose(text: str) -> str:
    """Return a docstring as Markdown: its double backticks are single, and nothing else of Markdown holds."""
    text = re.sub(r"``(.+?)``", r"`\1`", text)
    return re.sub(r"(`[^`]*`)|([<*_\[\]])", lambda found: found[1] or f"\\{found[2]}", text)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
