"""What columns of ClickHouse may hold a flow's graph, and what each costs: ``python -m bench.clickhouse_graphs``.

In the engine in this process, whose CPU time counts. Frames and texts are made before.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from bench.size import REPEATS, scaled
from bench.table import Row, print_table
from flowise_telemetry_consumer.sinks.clickhouse.address import address_of
from flowise_telemetry_consumer.sinks.clickhouse.server import Server

__all__ = ["FLOWS"]

FLOWS = scaled(100_000)
BATCH_ROWS = 10_000
_GRAPH = pl.Struct(
    {"nodes": pl.List(pl.String), "edges": pl.List(pl.Struct({"source": pl.String, "target": pl.String}))}
)
_EDGES = "Array(Tuple(source String, target String))"


@dataclass(frozen=True, slots=True)
class Form:
    """Columns beside ``n``, the frame that fills them, and an expression for each node of a row."""

    columns: str
    frame: pl.DataFrame
    node: str


def forms(flows: int) -> dict[str, Form]:
    """Return the ways to hold the same graphs, each of 3 to 20 nodes of 64 types."""
    chance = random.Random(1)
    types = [
        f"{what}{whose}" for what in ("chat", "llm", "tool", "memory") for whose in map(str.upper, "abcdefghijklmnop")
    ]
    graphs = []
    for _ in range(flows):
        nodes = [f"{chance.choice(types)}_{number}" for number in range(chance.randint(3, 20))]
        edges = [{"source": chance.choice(nodes), "target": node} for node in nodes[1:]]
        graphs.append({"nodes": nodes, "edges": edges})
    frame = pl.DataFrame({"n": range(flows)}).with_columns(pl.Series("g", graphs, dtype=_GRAPH))
    text = frame.select("n", pl.Series("g", [json.dumps(graph, separators=(",", ":")) for graph in graphs]))
    nodes_of, edges_of = (pl.col("g").struct.field(name) for name in ("nodes", "edges"))
    ends = [edges_of.list.eval(pl.element().struct.field(end)).alias(f"edges.{end}") for end in ("source", "target")]
    return {
        "Tuple of arrays": Form(f"g Tuple(nodes Array(String), edges {_EDGES})", frame, "arrayJoin(g.nodes)"),
        "Array and Nested": Form(
            "nodes Array(String), edges Nested(source String, target String)",
            frame.select("n", nodes_of, *ends),
            "arrayJoin(nodes)",
        ),
        "Array and Array(Tuple)": Form(
            f"nodes Array(String), edges {_EDGES}", frame.select("n", nodes_of, edges_of), "arrayJoin(nodes)"
        ),
        "JSON": Form("g JSON", text, "arrayJoin(g.nodes.:`Array(Nullable(String))`)"),
        "JSON, its paths declared": Form(f"g JSON(nodes Array(String), edges {_EDGES})", text, "arrayJoin(g.nodes)"),
        "String of JSON text": Form("g String", text, "arrayJoin(JSONExtract(g, 'nodes', 'Array(String)'))"),
    }


def measured(flows: int, repeats: int) -> Iterator[Row]:
    """CPU of inserts, size and CPU of a question, of each form in turn."""
    there = forms(flows)
    cpu_us: dict[str, list[float]] = {name: [] for name in there}
    size_bytes: dict[str, list[float]] = {name: [] for name in there}
    asked_ms: dict[str, list[float]] = {name: [] for name in there}
    with tempfile.TemporaryDirectory() as folder:
        server = Server(address_of(f"clickhouse:///{folder}/bench"))
        for _ in range(repeats):
            for name, form in there.items():
                server.execute("DROP TABLE IF EXISTS flows SYNC")
                server.execute(f"CREATE TABLE flows (n UInt64, {form.columns}) ENGINE = MergeTree ORDER BY n")
                before = time.process_time()
                for number, part in enumerate(form.frame.iter_slices(BATCH_ROWS)):
                    server.insert("flows", part, token=f"part:{number}")
                cpu_us[name].append((time.process_time() - before) / flows * 1e6)
                server.execute("OPTIMIZE TABLE flows FINAL")
                question = "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND table = 'flows'"
                size_bytes[name].append(server.rows(question)[0][0] / flows)
                began = time.process_time()
                server.rows(
                    f"SELECT {form.node} AS node, count() AS c FROM flows GROUP BY node ORDER BY c DESC LIMIT 3"
                )
                asked_ms[name].append((time.process_time() - began) * 1000)
        server.close()
    for name in there:
        yield Row(f"{name}: insert a row", cpu_us[name], "µs CPU")
        yield Row("  on disk", size_bytes[name], "bytes")
        yield Row("  which nodes are the most frequent", asked_ms[name], "ms CPU")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.clickhouse_graphs", description=__doc__, allow_abbrev=False)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    options = parser.parse_args()
    print_table(f"{FLOWS:,} graphs in ClickHouse, the engine in the process", measured(FLOWS, options.repeats))


if __name__ == "__main__":
    main()
