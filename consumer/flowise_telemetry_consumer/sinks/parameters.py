"""Misspelt parameters of a sink's URL, named as far as they are safe to name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["misspelt"]

_LIKE = 0.75


def misspelt(given: Iterable[str], known: Iterable[str]) -> str:
    """Return what to say of the parameters that are not known; nothing where all are, or may be something else.

    Only what is nearly the name of a parameter is repeated: a misplaced part of a URL is often its password.
    """
    known = sorted(known)
    meant = [
        (name, found[0])
        for name in given
        if name not in known and (found := difflib.get_close_matches(name, known, n=1, cutoff=_LIKE))
    ]
    return "; ".join(f"it has no parameter {name}: is {right} meant?" for name, right in meant)
