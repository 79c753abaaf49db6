"""A chart in words, for who cannot see it: how it is made, its extremes, where the numbers are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flowise_telemetry_report.document import ColumnKind
from flowise_telemetry_report.page.cells import shown

__all__ = ["summary"]

NAMED = 3
"""Names that a sentence lists."""


def summary(drawn: dict[str, Any], k: int | None) -> str:
    """Return the text alternative of a drawing."""
    sentences = {"graph": _graph, "heatmap": _heatmap}.get(drawn["chart"], _series)
    withheld = _withheld(drawn)
    told = f" Withheld values of fewer than {k:,} installations are not drawn." if withheld and k is not None else ""
    return f"{sentences(drawn)}{told} Every number is in the table."


def _number(value: Any, kind: ColumnKind) -> str:
    return shown(value, kind, None).text


def _numbers(pairs: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in pairs if isinstance(value, int | float)]


def _withheld(drawn: dict[str, Any]) -> bool:
    if drawn["chart"] == "graph":
        return any(isinstance(edge[2], str) for edge in drawn["edges"])
    if drawn["chart"] == "heatmap":
        return any(isinstance(cell[2], str) for measure in drawn["measures"] for cell in measure["cells"])
    lists = (series["values"] for measure in drawn["measures"] for series in measure["series"])
    return any(isinstance(value, str) for values in lists for value in values)


def _series(drawn: dict[str, Any]) -> str:
    names = drawn["x"]["names"]
    called = {"line": "Line chart", "bar": "Bar chart", "stacked": "Stacked bar chart"}[drawn["chart"]]
    if drawn["chart"] == "stacked" and not any(measure["stacks"] for measure in drawn["measures"]):
        called = "Chart"
    over = f"{names[0]} to {names[-1]}" if drawn["x"]["kind"] == "time" else f"{len(names):,} names"
    told: Callable[[str, list[tuple[str, Any]], ColumnKind], str]
    told = _extremes if drawn["x"]["kind"] == "time" else _largest
    sentences = [
        told(_title(measure, series), _numbers(list(zip(names, series["values"], strict=True))), measure["kind"])
        for measure in drawn["measures"]
        for series in measure["series"]
    ]
    return " ".join([f"{called} by {drawn['x']['label']}, {over}.", *sentences])


def _title(measure: dict[str, Any], series: dict[str, Any]) -> str:
    return series["name"] if measure["label"] in ("", series["name"]) else f"{measure['label']}, {series['name']}"


def _extremes(title: str, pairs: list[tuple[str, Any]], kind: ColumnKind) -> str:
    if not pairs:
        return f"{title}: nothing to draw."
    low, high = min(pairs, key=lambda pair: pair[1]), max(pairs, key=lambda pair: pair[1])
    return (
        f"{title}: lowest {_number(low[1], kind)} ({low[0]}), highest {_number(high[1], kind)} ({high[0]}), "
        f"last {_number(pairs[-1][1], kind)}."
    )


def _largest(title: str, pairs: list[tuple[str, Any]], kind: ColumnKind) -> str:
    if not pairs:
        return f"{title}: nothing to draw."
    first = sorted(pairs, key=lambda pair: -pair[1])[:NAMED]
    return f"{title}: most for " + ", ".join(f"{name} ({_number(value, kind)})" for name, value in first) + "."


def _heatmap(drawn: dict[str, Any]) -> str:
    x, y = drawn["x"], drawn["y"]
    sentences = [f"Heatmap of {y['label']} ({len(y['names']):,}) by {x['label']} ({len(x['names']):,})."]
    for measure in drawn["measures"]:
        cells = [(f"{y['names'][cell[1]]}, {x['names'][cell[0]]}", cell[2]) for cell in measure["cells"]]
        sentences.append(_largest(measure["label"], _numbers(cells), measure["kind"]))
    return " ".join(sentences)


def _graph(drawn: dict[str, Any]) -> str:
    edges, measure = drawn["edges"], drawn["measures"][0]
    nodes = {name for edge in edges for name in edge[:2]}
    pairs = _numbers([(f"{source} to {target}", weight) for source, target, weight in edges])
    return f"Graph of {len(nodes):,} nodes and {len(edges):,} connections. " + _largest(
        measure["label"], pairs, measure["kind"]
    )
