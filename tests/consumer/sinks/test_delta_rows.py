"""How rows are written into data files: texts in graphs once, and no type but Parquet's own."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from flowise_telemetry_consumer.sinks.delta.rows import encoded

EDGE = pl.Struct({"source": pl.String, "target": pl.String})
GRAPH = pl.Struct({"nodes": pl.List(pl.String), "edges": pl.List(EDGE)})
A_GRAPH = {"nodes": ["chatOpenAI_0", "llmChain_0"], "edges": [{"source": "chatOpenAI_0", "target": "llmChain_0"}]}
LEAVES = ["g, nodes, list, element", "g, edges, list, element, source", "g, edges, list, element, target"]


def frame(graphs: Sequence[object], name: str = "a tool") -> pl.DataFrame:
    rows = {"event_id": [f"{number:04}" for number in range(len(graphs))], "tool_name": name, "g": graphs}
    return pl.DataFrame(rows, schema={"event_id": pl.String, "tool_name": pl.String, "g": GRAPH})


def asked(data: bytes, folder: Path, question: str) -> list[tuple[Any, ...]]:
    """The rows of a question to DuckDB about the file ``{}``."""
    file = folder / "rows.parquet"
    file.write_bytes(data)
    with duckdb.connect() as db:
        return db.execute(question.format(f"'{file}'")).fetchall()


def encodings(data: bytes, folder: Path) -> dict[str, str]:
    return dict(asked(data, folder, "SELECT path_in_schema, encodings FROM parquet_metadata({})"))


def test_texts_in_graphs_are_written_by_a_dictionary(tmp_path: Path) -> None:
    """Half of the bytes and of the time to read them, for whoever reads the lake."""
    found = encodings(encoded(frame([A_GRAPH] * 100)), tmp_path)
    assert all("RLE_DICTIONARY" in found[leaf] for leaf in LEAVES), found


@pytest.mark.parametrize(
    "graphs",
    [
        [A_GRAPH] * 20,
        [{"nodes": [], "edges": []}] * 20,
        [None] * 20,
        [A_GRAPH, None, {"nodes": None, "edges": [None]}, {"nodes": [None, "a_0"] * 9, "edges": [{"source": "a_0"}]}],
    ],
    ids=["alike", "empty", "none", "mixed"],
)
def test_rows_come_back_as_they_were(graphs: Sequence[object]) -> None:
    rows = frame(graphs)
    back = pl.read_parquet(io.BytesIO(encoded(rows)))
    assert back.schema == rows.schema
    assert back.equals(rows)


@pytest.mark.parametrize("name", ["a tool", "ARROW:schema"])
def test_no_reader_is_told_of_other_types(name: str, tmp_path: Path) -> None:
    """Arrow's readers would take texts with a dictionary for another type than that of the table."""
    rows = frame([A_GRAPH] * 20, name)
    data = encoded(rows)
    keys = asked(data, tmp_path, "SELECT decode(key) FROM parquet_kv_metadata({})")
    assert ("ARROW:schema",) not in keys
    assert pl.read_parquet(io.BytesIO(data)).equals(rows)
    least = asked(data, tmp_path, "SELECT stats_min_value FROM parquet_metadata({}) WHERE path_in_schema = 'tool_name'")
    assert least == [(name,)]
