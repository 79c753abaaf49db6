"""What the Delta sink costs next to writing the same frames to Parquet files: ``python -m bench.delta``.

In turn, in one process. The files are neither named in a log nor synced, and nothing is looked up for them.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("POLARS_MAX_THREADS", "1")  # as the command does; polars reads it when it is imported

import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count

from tests.consumer.sinks.batches import batch

from bench.table import REPEATS, Row, at_most, print_table, ratios
from flowise_telemetry_consumer.sinks.delta import open_delta
from flowise_telemetry_consumer.sinks.port import Batch
from flowise_telemetry_schemas import catalog

__all__ = ["BATCH_ROWS"]

BATCH_ROWS = 10_000
_BATCHES = 5


def rows(repeats: int) -> Iterator[Row]:
    """CPU for each event: the sink, and ``write_parquet`` alone."""
    ours: list[float] = []
    bare: list[float] = []
    a_time = sum(frame.height for frame in batch().frames.values())
    batches = [batch(number, BATCH_ROWS // a_time) for number in range(repeats * _BATCHES + 2)]
    with tempfile.TemporaryDirectory() as folder:
        sink = open_delta(f"delta:///{folder}/lake")
        sink.prepare(catalog())
        numbers = count()

        def write(its: Batch) -> None:
            for frame in its.frames.values():
                path = f"{folder}/{next(numbers)}.parquet"
                frame.write_parquet(path, compression="zstd", compression_level=1)

        for warm_up in batches[:2]:
            sink.write(warm_up)
            write(warm_up)
        for start in range(2, len(batches), _BATCHES):
            some = batches[start : start + _BATCHES]
            ours.append(_cpu_us(sink.write, some))
            bare.append(_cpu_us(write, some))
        sink.close()
    yield Row(f"the sink, batches of {BATCH_ROWS:,}", ours, "µs CPU")
    yield Row("the same frames to Parquet files", bare, "µs CPU")
    yield Row("  the sink over the files", ratios(ours, bare), "times", at_most(3))


def _cpu_us(act: Callable[[Batch], object], batches: list[Batch]) -> float:
    events = sum(frame.height for its in batches for frame in its.frames.values())
    started = time.process_time()
    for its in batches:
        act(its)
    return (time.process_time() - started) / events * 1e6


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.delta", description=__doc__, allow_abbrev=False)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    options = parser.parse_args()
    print_table("frames to Delta", rows(options.repeats))


if __name__ == "__main__":
    main()
