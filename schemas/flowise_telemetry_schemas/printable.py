"""Text from elsewhere, made safe for terminals and logs."""

from __future__ import annotations

import re

__all__ = ["printable", "printable_lines"]

# Control characters (ISO 6429: C0, DEL, C1), which move a cursor, recolor, or rename a window; marks that reorder what
# follows (Unicode's bidirectional controls); invisible ones; lone surrogates, which no terminal's encoding has.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def printable(text: str) -> str:
    """Return one line: each character that a terminal would obey, or not show, as an escape such as ``\\u001b``."""
    return text if text.isascii() and text.isprintable() else _UNSAFE.sub(_escaped, text)


def printable_lines(text: str) -> str:
    """Return text as ``printable``, but with its newlines and tabs."""
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"  # which JSON reads as the character
