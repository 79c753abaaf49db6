"""What differs between databases in the text of a view."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["Dialect"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """Pieces of SQL; ``{}`` stands for an expression, or for the quoted name of a table.

    ``types`` are by kind of ``EventColumns``. ``node_rows`` and ``edge_rows`` are what follows FROM: the table, of
    which ``e`` is the row, and one row for each element of the graph, named by its first ``{graph}``.
    """

    quoted: Callable[[str], str]
    types: Mapping[str, str]
    cast: str
    day: str
    ever: str
    id_minimum: str
    node_rows: str
    node: str
    edge_rows: str
    source: str
    target: str
    vendors: str
    """A table of the columns ``node_type`` and ``vendor``; ``{alias}`` stands for its name, ``{rows}`` for its rows."""

    node_type: str = "substr(rtrim({id}, '0123456789'), 1, length(rtrim({id}, '0123456789')) - 1)"
    """The type of a node: its ``{id}`` without the number at its end, and the underscore before that."""

    literal: str = "CAST({} AS text)"
    """The type that a text has to have where rows of several tables are put together."""

    def value(self, column: str, kind: str) -> str:
        """Return a column as a value of a kind."""
        return self.cast.format(value=column, type=self.types[kind])

    def missing(self, kind: str) -> str:
        """Return NULL as a value of a kind."""
        return f"CAST(NULL AS {self.types[kind]})"

    def text(self, value: str) -> str:
        """Return a text that stands in a schema or in the vocabulary."""
        return self.literal.format(_literal(value))

    def vendor_table(self, vendors: Mapping[str, str], alias: str) -> str:
        """Return the vendors of node types as a table to be joined."""
        rows = ", ".join(f"({_literal(name)}, {_literal(vendor)})" for name, vendor in vendors.items())
        return self.vendors.format(rows=rows, alias=alias)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
