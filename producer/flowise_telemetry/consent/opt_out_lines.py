"""Opt-outs in the raw bytes of a ``.env`` file: what may be meant as a no is a no."""

from __future__ import annotations

import re
import unicodedata

from flowise_telemetry import environment

__all__ = ["opt_out_in", "opt_out_named"]

# One to eight bytes that are neither letter nor digit may stand for an underscore, because an editor may have put a
# zero-width character there.
_NAMES = {
    name: re.compile(
        rb"(?<![A-Z0-9_])" + rb"[^A-Z0-9\r\n]{1,8}".join(name.encode().split(b"_")) + rb"(?![A-Z0-9_])", re.IGNORECASE
    )
    for name in environment.OPT_OUTS
}
_LINE_ENDS = re.compile(rb"[\r\n]")
_TEXT_LINE_ENDS = re.compile(r"[\r\n]")
_WORDS = tuple(name.rpartition("_")[2].encode() for name in environment.OPT_OUTS)
_ACCENTS = re.compile("[\u0300-\u036f]+")
_DOTLESS_I = "\u0131"  # of Turkish, where lower() makes it of I
_COMMENT = re.compile(rb"""[^!-~]*\#|[^"'`]*\s\#""")
_LEAVES_ON = re.compile(
    rb"""["'`]?\s*  (?: (?:[=:;]|\s) \s* ["'`]?\s* (?:0|false|no|off) \s*["'`]?\s* (?:(?<=\s)\#.*)?"""
    rb"""             | = \s* (?:""|'')? \s* )""",
    re.IGNORECASE | re.VERBOSE,
)
# In what is no UTF-8: UTF-16 from either byte on, as a part of the file may be in it, and what Windows writes in East
# Asia, whose input methods have a key for full-width letters.
_WIDE = (("utf-16-le", 0), ("utf-16-le", 1), ("utf-16-be", 0), ("utf-16-be", 1))
_EAST_ASIAN = ("cp932", "gb18030", "cp949", "cp950")


def opt_out_in(raw: bytes) -> str | None:
    """Return the name of a switch that the file turns on; None if it turns on none.

    A line that names a switch, in any case, anywhere but in a comment, is an opt-out, unless all that follows the name
    is one of the words that leave telemetry on, or ``=`` and nothing. One such line is enough, whatever others say.

    The bytes are searched as they are: without its NULs UTF-16 has the bytes of ASCII, whichever its byte order and
    wherever in the file it begins, and byte-order marks and zero-width characters are no part of a name. Then as text,
    for letters that only look like those of ASCII: full-width, accented, mathematical.
    """
    plain = raw.replace(b"\0", b"")
    found = (
        next((name for line in _LINE_ENDS.split(plain) if (name := _opt_out(line))), None) if _named(plain) else None
    )
    if found is None and not raw.isascii():
        found = next((name for text in _texts(raw) if (name := _opt_out_in_text(text))), None)
    return found


def opt_out_named(name: str) -> str | None:
    """Return the switch that such a variable of the environment is, in any case and spelling; None if it is none."""
    return _switch(name.encode() if name.isascii() else _folded(name))


def _folded(text: str) -> bytes:
    """Return the text with each letter that looks like one of ASCII as that one."""
    plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", text)).replace(_DOTLESS_I, "i")
    return plain.encode("utf-8", "replace")


def _texts(raw: bytes) -> list[str]:
    try:
        texts = [raw.decode()]
        if b"\0" not in raw:
            return texts
    except UnicodeDecodeError:
        texts = [raw.decode(errors="replace"), *(raw.decode(encoding, "replace") for encoding in _EAST_ASIAN)]
    # What cannot be read stays visible: UTF-32 has halves of surrogates for UTF-16, and left out, "0?" would be a "0".
    return texts + [raw[start:].decode(encoding, "replace").replace("\0", "") for encoding, start in _WIDE]


def _opt_out_in_text(text: str) -> str | None:
    if not _named(_folded(text)):
        return None
    for line in _TEXT_LINE_ENDS.split(text):
        # Lines that name a switch in ASCII were looked at as bytes. UTF-16 read from a wrong byte on misses their "#".
        if not line.isascii() and not _switch(line.encode("utf-8", "replace")) and (name := _opt_out(_folded(line))):
            return name
    return None


def _named(raw: bytes) -> bool:
    """Return False if there is no switch for certain, which is cheap to know."""
    upper = raw.upper()
    return any(word in upper for word in _WORDS)


def _switch(line: bytes) -> str | None:
    return next((name for name, pattern in _NAMES.items() if pattern.search(line)), None) if _named(line) else None


def _opt_out(line: bytes) -> str | None:
    for name, pattern in _NAMES.items():
        found = pattern.search(line)  # the first is enough: a second one is no word that leaves it on
        if found and not _COMMENT.match(line, 0, found.start()) and not _LEAVES_ON.fullmatch(line, found.end()):
            return name
    return None
