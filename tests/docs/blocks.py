"""The fenced blocks of README and documentation."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["ROOT", "Block", "blocks", "pages", "spans"]

ROOT = Path(__file__).parents[2]
_FENCED = re.compile(r"^( *)```([^\n`]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


@dataclass(frozen=True, slots=True)
class Block:
    """One block: its page from the root, the line of its fence, its language, its text."""

    page: str
    line: int
    language: str
    text: str

    @property
    def where(self) -> str:
        """Page and line, as an editor opens them."""
        return f"{self.page}:{self.line}"

    @property
    def name(self) -> tuple[str, str]:
        """Page and first line, which stay the same while others are added."""
        return self.page, self.text.partition("\n")[0].strip()


@cache
def pages() -> dict[str, str]:
    """Every page's text by its path from the root."""
    files = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
    return {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in files}


@cache
def blocks() -> tuple[Block, ...]:
    """Every fenced block."""
    return tuple(_blocks())


def _blocks() -> Iterator[Block]:
    for page, text in pages().items():
        for found in _FENCED.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            yield Block(page, line, found[2].strip(), textwrap.dedent(found[3]))


def spans() -> Iterator[tuple[str, str]]:
    """Every code span outside of the blocks, with its page."""
    for page, text in pages().items():
        for found in _SPAN.finditer(_FENCED.sub("", text)):
            yield page, found[1]
