"""What the ClickHouse sink costs next to bare inserts of the same frames: ``python -m bench.clickhouse``.

Both by clickhouse-connect into the engine in this process, whose CPU time counts for both, in turn, into tables
that are declared alike.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator

import clickhouse_connect

from bench.frames import in_turn
from bench.size import REPEATS
from bench.table import Row, at_most, print_table, ratios
from flowise_telemetry_consumer.reading.batch import BatchLimits
from flowise_telemetry_consumer.sinks.clickhouse import open_clickhouse
from flowise_telemetry_consumer.sinks.port import Batch
from flowise_telemetry_schemas import catalog

__all__ = ["BATCH_ROWS"]

BATCH_ROWS = (10_000, BatchLimits().rows, 50_000)
"""The middle one is the consumer's default."""


def insert_rows(rows: int, repeats: int) -> Iterator[Row]:
    """CPU for each event: the sink, and ``insert_df_arrow`` alone."""
    with tempfile.TemporaryDirectory() as folder:
        sink = open_clickhouse(f"clickhouse:///{folder}/bench")
        sink.prepare(catalog())
        client = clickhouse_connect.get_client(interface="chdb", path=f"{folder}/bench")
        client.command("CREATE DATABASE bare")
        for event in catalog().names:
            client.command(f"CREATE TABLE bare.{event} AS flowise_telemetry.{event}")

        def insert(its: Batch) -> None:
            for event, frame in its.frames.items():
                client.insert_df_arrow(event, frame, database="bare")

        ours, bare = in_turn(sink.write, insert, rows=rows, repeats=repeats)
        client.close()
        sink.close()
    yield Row(f"the sink, batches of {rows:,}", ours, "µs CPU")
    yield Row("bare inserts of the same frames", bare, "µs CPU")
    yield Row("  the sink over bare inserts", ratios(ours, bare), "times", at_most(1.5))


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.clickhouse", description=__doc__, allow_abbrev=False)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    options = parser.parse_args()
    for rows in BATCH_ROWS:
        print_table("frames to ClickHouse, the engine in the process", insert_rows(rows, options.repeats))


if __name__ == "__main__":
    main()
