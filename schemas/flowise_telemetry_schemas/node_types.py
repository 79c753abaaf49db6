"""The closed vocabulary of node types: what a node id may tell of a node."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from flowise_telemetry_schemas.errors import ConfigurationError

__all__ = ["OTHER_TYPE", "is_node_type", "node_types", "node_types_in", "node_vendors", "own_node_types"]

OTHER_TYPE = "other"
"""The type of every node whose own is not in the vocabulary."""

_LETTERS = "[A-Za-z][a-z]{0,23}([A-Z][a-z]{0,23}){0,%d}"
_WORD = f"{_LETTERS % 7}([0-9]{{1,2}}({_LETTERS % 3})?)?"
_TYPE = re.compile(f"{_WORD}(_{_WORD}){{0,2}}")  # as the schemas have it; a test compares them
_MAX_CHARACTERS = 92  # and a number of three digits: 96 in all
_MAX_FILE_BYTES = 1_048_576


@functools.cache
def node_types() -> frozenset[str]:
    """Return the node types that this package ships: those of the model app, and former ones of its stored flows."""
    from importlib.resources import files  # as in catalog(): slow to import

    shipped = files("flowise_telemetry_schemas") / "vocabulary" / "node_types.txt"
    return frozenset(node_types_in(shipped.read_text(encoding="utf-8")))


@functools.cache
def node_vendors() -> Mapping[str, str]:
    """Return whose service, model or product a node type is for; types that are of no vendor are left out."""
    from importlib.resources import files  # as in catalog(): slow to import

    shipped = files("flowise_telemetry_schemas") / "vocabulary" / "vendors.txt"
    lines = (line.split(": ", 1) for line in node_types_in(shipped.read_text(encoding="utf-8")))
    return {name: vendor for vendor, names in lines for name in names.split()}


def own_node_types(given: Iterable[str] | str | os.PathLike[str]) -> frozenset[str]:
    """Return an app's own node types: given one by one, or as a file with one a line; ``#`` begins a comment.

    Raises ``ConfigurationError`` for a file that cannot be read, and for what is no type.
    """
    if isinstance(given, str | os.PathLike):
        try:
            with Path(given).open("rb") as file:
                names = node_types_in(file.read(_MAX_FILE_BYTES).decode("utf-8"))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise ConfigurationError(f"{given} cannot be read: {reason}", argument="node_types") from error
    else:
        names = list(given)
    for number, name in enumerate(names, start=1):
        if not is_node_type(name):
            raise ConfigurationError(
                f"the name at place {number} is no node type: give words of letters, such as ourStore or our_store",
                argument="node_types",
            )
    return frozenset(names)


def is_node_type(name: object) -> bool:
    """Return True for what the schemas take as the type of a node."""
    return isinstance(name, str) and name != OTHER_TYPE and len(name) <= _MAX_CHARACTERS and bool(_TYPE.fullmatch(name))


def node_types_in(text: str) -> list[str]:
    """Return the names in the text of a file: one a line; ``#`` begins a comment."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]
