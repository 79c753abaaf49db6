"""The app's version as the schemas take it: three numbers, then at most one word with two numbers behind it."""

from __future__ import annotations

import re

__all__ = ["NOT_A_VERSION", "normalized_version"]

NOT_A_VERSION = "app_version is no version, such as 3.0.1, 3.0.1rc1 or v3.0.1-rc.1"


_NUMBER = r"[0-9]{1,4}"
# Strings, which re compiles at first use and caches: compiling here would lengthen the import by a millisecond.
_TAKEN = rf"{_NUMBER}(\.{_NUMBER}){{2}}(-[a-z]{{1,12}}(\.[0-9]{{1,6}}){{0,2}})?"  # as the schemas say
_VERSION = (
    rf"v?(?P<release>{_NUMBER}(?:\.{_NUMBER})*)"
    r"(?:[-_.]?(?P<tag>[a-z][0-9a-z._-]*)|[-_](?P<number>[0-9][0-9a-z._-]*))?"
    r"(?:\+[0-9a-z._-]*)?"
)
_WORD = r"([a-z]{1,12})(?![a-z])(.*)"
_NUMBERS = r"(?:[._-]?([0-9]{1,6})(?![0-9]))?(?:[._-]([0-9]{1,6})(?![0-9a-z]))?"
_COMMITS_SINCE = r"([0-9]{1,6})-g[0-9a-f]+"  # git describe
_FULL_WORD = {"a": "alpha", "b": "beta", "c": "rc", "pre": "rc", "preview": "rc", "r": "post", "rev": "post"}


def normalized_version(text: object) -> str | None:
    """Return a version of PEP 440 or of semver as ``3.0.1`` or ``3.0.1-rc.1``; None for what is neither.

    Build metadata and local versions, numbers after the third, and what follows the first word with its numbers are
    left out: they name a build and not a version that is in use by many. Numbers that are missing are 0.
    """
    if not isinstance(text, str):
        return None
    text = text.strip().lower()
    if re.fullmatch(_TAKEN, text):
        return text
    found = re.fullmatch(_VERSION, text)
    if found is None:
        return None
    numbers = found["release"].split(".")[:3]
    release = ".".join([*numbers, "0", "0"][:3])
    tag = _tag(found["tag"] or "", found["number"] or "")
    return f"{release}-{tag}" if tag else release


def _tag(tag: str, number: str) -> str:
    if commits := re.match(_COMMITS_SINCE, number):
        return f"post.{commits[1]}"
    if number.isdecimal():
        word, rest = "post", number  # PEP 440, "implicit post releases"
    elif found := re.match(_WORD, tag):
        word, rest = _FULL_WORD.get(found[1], found[1]), found[2]
    elif tag or number:
        word, rest = "pre", number
    else:
        return ""
    numbers = re.match(_NUMBERS, rest)
    return ".".join([word, *(number for number in (numbers.groups() if numbers else ()) if number)])
