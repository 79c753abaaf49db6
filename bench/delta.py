"""What the Delta sink costs next to writing the same frames to Parquet files: ``python -m bench.delta``.

In turn, in one process. The files are neither named in a log nor synced, and nothing is looked up for them. Then next
to the Parquet sink that was there before Delta, and a lake of many files next to an empty one.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("POLARS_MAX_THREADS", "1")  # as the command does; polars reads it when it is imported

import tempfile
from collections.abc import Iterator
from itertools import count

from bench.frames import in_turn
from bench.lake_files import LATE
from bench.parquet_sink import print_parquet_sink
from bench.runs import lake_of_files
from bench.size import PEAK_MEBIBYTES, REPEATS, scaled
from bench.table import Row, at_most, below, print_table, ratios
from flowise_telemetry_consumer.sinks.delta import open_delta
from flowise_telemetry_consumer.sinks.port import Batch
from flowise_telemetry_schemas import catalog

__all__ = ["BATCH_ROWS"]

BATCH_ROWS = 10_000
FILES = int(os.environ.get("BENCH_FILES", scaled(20_000)))


def rows(repeats: int) -> Iterator[Row]:
    """CPU for each event: the sink, and ``write_parquet`` alone."""
    with tempfile.TemporaryDirectory() as folder:
        sink = open_delta(f"delta:///{folder}/lake")
        sink.prepare(catalog())
        numbers = count()

        def write(its: Batch) -> None:
            for frame in its.frames.values():
                path = f"{folder}/{next(numbers)}.parquet"
                frame.write_parquet(path, compression="zstd", compression_level=1)

        ours, bare = in_turn(sink.write, write, rows=BATCH_ROWS, repeats=repeats)
        sink.close()
    yield Row(f"the sink, batches of {BATCH_ROWS:,}", ours, "µs CPU")
    yield Row("the same frames to Parquet files", bare, "µs CPU")
    yield Row("  the sink over the files", ratios(ours, bare), "times", at_most(3))


def files_rows(files: int, repeats: int) -> Iterator[Row]:
    """Opening and writing with so many files in the lake, and with none."""
    runs: dict[int, list[dict[str, float]]] = {0: [], files: []}
    for _ in range(repeats):
        for held, its in runs.items():
            its.append(lake_of_files(held))
    figures = {name: ([run[name] for run in runs[files]], [run[name] for run in runs[0]]) for name in runs[0][0]}
    full, empty = figures["opened"]
    yield Row(f"opening a lake of {files:,} files", full, "s", below(0.5))
    yield Row("  its CPU", figures["opened_cpu"][0], "s CPU")
    yield Row("  an empty one", empty, "s")
    for kind, what in {"new": "new events", **{kind: f"late ones of {kind}" for kind in LATE}}.items():
        full, empty = figures[kind]
        yield Row(f"writing into them, {what}", full, "µs CPU")
        yield Row("  over an empty lake", ratios(full, empty), "times", at_most(1.5))
        if kind in LATE:
            yield Row("  the first such batch", ratios(*figures[f"{kind}, first"]), "times")
    yield Row("a checkpoint, once in 100 commits", figures["checkpoint_cpu"][0], "s CPU")
    yield Row("peak memory, filling too", figures["peak_mebibytes"][0], "MiB", at_most(PEAK_MEBIBYTES))


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.delta", description=__doc__, allow_abbrev=False)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--files", type=int, default=FILES, help="in the lake that is not empty")
    options = parser.parse_args()
    print_table("frames to Delta", rows(options.repeats))
    print_parquet_sink(BATCH_ROWS, options.repeats)
    print_table("a lake of many files", files_rows(options.files, options.repeats))


if __name__ == "__main__":
    main()
