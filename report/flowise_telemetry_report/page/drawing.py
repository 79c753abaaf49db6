"""Rows of a figure as a chart needs them: names along the axes, and series of values for each measure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from flowise_telemetry_report.document import Cell, Column, Figure
from flowise_telemetry_report.page.cells import NUMBERS
from flowise_telemetry_report.page.periods import unbroken

__all__ = ["DRAWN_BARS", "DRAWN_SERIES", "WITHHELD", "dimensions", "drawing", "measures"]

DRAWN_BARS = 30
"""Most bars of a chart that has one for each name. The table has all."""

DRAWN_SERIES = 8
"""Most series of a chart, as many as there are colours that can be told apart."""

OVERLAPPING = frozenset({"installations"})
"""Names of counts that must not be added up: an installation is counted in each series that it belongs to."""

WITHHELD = "withheld"
"""Stands for a suppressed value. A combination that no row names is None."""

Value = str | int | float | None


def dimensions(figure: Figure) -> list[int]:
    """Return the positions of the columns that a chart's axes take: the first, and each other one that holds names.

    Of a heatmap and a graph they are the first two, whatever they hold.
    """
    if figure.chart in ("heatmap", "graph"):
        return [0, 1]
    return [n for n, column in enumerate(figure.columns) if n == 0 or column.kind not in NUMBERS]


def measures(figure: Figure) -> list[int]:
    """Return the positions of the columns of numbers that are not an axis."""
    along = dimensions(figure)
    return [n for n, column in enumerate(figure.columns) if column.kind in NUMBERS and n not in along]


def _worth_drawing(figure: Figure) -> list[int]:
    """Return the measures without those that are the same in all rows, such as the whole of which others are parts."""
    varied = [n for n in measures(figure) if len({row[n] for row in figure.rows}) > 1]
    return varied or measures(figure)[:1]


def drawing(figure: Figure) -> dict[str, Any] | None:
    """Return what the chart of a figure draws, as JSON values; None where there is nothing but a table to show."""
    if not figure.rows or not measures(figure):
        return None
    match figure.chart:
        case "graph":
            return _graph(figure)
        case "heatmap":
            return _heatmap(figure)
        case "line" | "bar" | "stacked":
            return _series(figure, dimensions(figure), _worth_drawing(figure))
        case _:
            return None


def _value(cell: Cell) -> Value:
    return WITHHELD if cell is None else cell


def _name(cell: Cell) -> str:
    return "—" if cell is None else str(cell)


def _distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _measure(column: Column, **more: Any) -> dict[str, Any]:
    return {"label": column.label, "kind": column.kind, "stacks": column.name not in OVERLAPPING, **more}


def _axis(column: Column, names: Sequence[str]) -> dict[str, Any]:
    return {"label": column.label, "kind": column.kind, "unit": column.name, "names": names}


def _series(figure: Figure, along: list[int], numbers: list[int]) -> dict[str, Any]:
    """Series of one value a name. The second dimension, or else each column of numbers, is a series."""
    columns, first = figure.columns, along[0]
    keys = [_name(row[first]) for row in figure.rows]
    by_name = len(along) > 1
    if figure.chart == "bar" and by_name and not _is_grid(figure, first, along[1]):
        # Groups would have holes. Where the first name says it all, the second only describes it.
        by_name = False
        if len(set(keys)) < len(keys):
            keys = [" · ".join(_name(row[n]) for n in along) for row in figure.rows]
    all_names = names = _distinct(keys)
    if columns[first].kind == "time":
        all_names = names = unbroken(names)
    elif figure.chart != "line":
        names = names[:DRAWN_BARS]
    if by_name:
        drawn = [_measure(columns[n], **_by_name(figure, names, (first, along[1], n))) for n in numbers]
    elif figure.chart == "stacked":
        same = [n for n in numbers if columns[n].kind == columns[numbers[0]].kind]
        series = [{"name": columns[n].label, "values": _column(figure, names, keys, n)} for n in same]
        drawn = [{"label": "", "kind": columns[numbers[0]].kind, "stacks": True, "series": series, "left_out": 0}]
    else:
        drawn = [
            _measure(columns[n], series=[{"name": columns[n].label, "values": _column(figure, names, keys, n)}])
            for n in numbers
        ]
    panels = figure.chart == "line" and len(along) == 1 and len(drawn) > 1
    x = {**_axis(columns[first], names), "left_out": len(all_names) - len(names)}
    return {"chart": figure.chart, "x": x, "measures": drawn, "panels": panels}


def _is_grid(figure: Figure, first: int, second: int) -> bool:
    """Tell if each first name comes with each second one, of which there are few."""
    pairs = {(row[first], row[second]) for row in figure.rows}
    seconds = {pair[1] for pair in pairs}
    return len(pairs) == len({pair[0] for pair in pairs}) * len(seconds) and len(seconds) <= DRAWN_SERIES


def _column(figure: Figure, names: list[str], keys: list[str], number: int) -> list[Value]:
    values = {key: _value(row[number]) for key, row in zip(keys, figure.rows, strict=True)}
    return [values.get(name) for name in names]


def _by_name(figure: Figure, names: list[str], positions: tuple[int, int, int]) -> dict[str, Any]:
    """Split the rows by their second name, the largest series and no more than can be told apart."""
    first, second, number = positions
    values = {(_name(row[second]), _name(row[first])): _value(row[number]) for row in figure.rows}
    series = [
        {"name": name, "values": [values.get((name, x)) for x in names]}
        for name in _distinct(_name(row[second]) for row in figure.rows)
    ]
    largest = {one["name"] for one in sorted(series, key=lambda one: -_sum(one["values"]))[:DRAWN_SERIES]}
    return {"series": [one for one in series if one["name"] in largest], "left_out": len(series) - len(largest)}


def _sum(values: Iterable[Any]) -> float:
    return sum(value for value in values if isinstance(value, int | float))


def _heatmap(figure: Figure) -> dict[str, Any]:
    """Make a cell of each row: the first column is the way down, the second the way across."""
    down, across = (_distinct(_name(row[n]) for row in figure.rows) for n in (0, 1))
    place_down, place_across = ({name: n for n, name in enumerate(names)} for names in (down, across))
    places = [(place_across[_name(row[1])], place_down[_name(row[0])]) for row in figure.rows]
    cells = [
        _measure(
            figure.columns[n],
            cells=[[*place, _value(row[n])] for place, row in zip(places, figure.rows, strict=True)],
        )
        for n in _worth_drawing(figure)
    ]
    axes = {"x": _axis(figure.columns[1], across), "y": _axis(figure.columns[0], down)}
    return {"chart": "heatmap", **axes, "measures": cells}


def _graph(figure: Figure) -> dict[str, Any]:
    source, target, weight = figure.columns[:3]
    return {
        "chart": "graph",
        "source": source.label,
        "target": target.label,
        "measures": [_measure(weight)],
        "edges": [[_name(row[0]), _name(row[1]), _value(row[2])] for row in figure.rows],
    }
