"""Opt-outs in the raw bytes of a ``.env`` file: what may be meant as a no is a no."""

from __future__ import annotations

import re

from flowise_telemetry import environment

__all__ = ["opt_out_in"]

# One to eight bytes that are neither letter nor digit may stand for an underscore, because an editor may have put a
# zero-width character there.
_NAMES = {
    name: re.compile(
        rb"(?<![A-Z0-9_])" + rb"[^A-Z0-9\r\n]{1,8}".join(name.encode().split(b"_")) + rb"(?![A-Z0-9_])", re.IGNORECASE
    )
    for name in environment.OPT_OUTS
}
_LINE_ENDS = re.compile(rb"[\r\n]")
_COMMENT = re.compile(rb"""[^!-~]*\#|[^"'`]*\s\#""")
_LEAVES_ON = re.compile(
    rb"""["'`]?\s*  (?: (?:[=:;]|\s) \s* ["'`]?\s* (?:0|false|no|off) \s*["'`]?\s* (?:(?<=\s)\#.*)?"""
    rb"""             | = \s* (?:""|'')? \s* )""",
    re.IGNORECASE | re.VERBOSE,
)


def opt_out_in(raw: bytes) -> str | None:
    """Return the name of a switch that the file turns on; None if it turns on none.

    A line that names a switch, in any case, anywhere but in a comment, is an opt-out, unless all that follows the name
    is one of the words that leave telemetry on, or ``=`` and nothing. One such line is enough, whatever others say.

    The bytes are searched as they are: without its NULs UTF-16 has the bytes of ASCII, whichever its byte order and
    wherever in the file it begins, and byte-order marks and zero-width characters are no part of a name.
    """
    for line in _LINE_ENDS.split(raw.replace(b"\0", b"")):
        for name, pattern in _NAMES.items():
            found = pattern.search(line)  # the first is enough: a second one is no word that leaves it on
            if found and not _COMMENT.match(line, 0, found.start()) and not _LEAVES_ON.fullmatch(line, found.end()):
                return name
    return None
