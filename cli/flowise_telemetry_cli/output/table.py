"""Plain text tables, to be read in a log and cut with awk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flowise_telemetry_schemas.printable import printable

__all__ = ["table"]


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return lines with aligned columns, numbers to the right; the last column is never padded."""
    given = list(rows)
    cells = [[f"{cell:,}" if isinstance(cell, int) else printable(str(cell)) for cell in row] for row in given]
    numeric = [bool(given) and all(isinstance(row[column], int) for row in given) for column in range(len(head))]
    widths = [max(len(line[column]) for line in [list(head), *cells]) for column in range(len(head))]
    lines = []
    for line in [list(head), *cells]:
        parts = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ]
        lines.append("  ".join(parts).rstrip())
    return "\n".join(lines)
