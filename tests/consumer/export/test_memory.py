"""An export of a large sink takes no more memory than one of a small sink."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

from flowise_telemetry_consumer.sinks import Batch
from flowise_telemetry_schemas import catalog
from tests.consumer.sinks.batches import batch, id_made_at
from tests.consumer.sinks.roles import open_readable
from tests.consumer.sinks.writer_process import ROOT
from tests.thoroughness import IS_CI

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has another unit elsewhere"),
]

FEW, MANY = 100_000, 300_000 if IS_CI else 200_000
BATCH_ROWS = 10_000
DAYS = 60
START_MS = 1_700_000_000_000
DAY_MS = 86_400_000
# By then what the sink's library and an export hold is full. The rows between few and many take 170 MB, and 340 in CI.
MAX_GROWTH_MB = 100

# Prints the peak of its process in MB once it has read a few rows, and at the end.
EXPORT = """
import resource, sys
from pathlib import Path
from flowise_telemetry_consumer.export import export_events
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_schemas import catalog

url, out, few = sys.argv[1:]
peaks = []

def peak():
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)

def look(result):
    if not peaks and result.read >= int(few):
        peak()

export_events(open_sink(url), Path(out), catalog(), on_report=look)
peak()
print(*peaks)
"""


def large_flows(first: int) -> Batch:
    """Events with flows of 40 nodes, 1.7 KB each in memory, of any of 60 days."""
    one = batch().frames["prediction_sent"].head(1)
    nodes = [f"chatOpenAI_{number}" for number in range(40)]
    graph = {
        "nodes": nodes,
        "edges": [{"source": source, "target": target} for source, target in pairwise(nodes)],
    }
    numbers = range(first, first + BATCH_ROWS)
    times = [START_MS + number * 7919 % DAYS * DAY_MS for number in numbers]
    rows = pl.concat([one.with_columns(flow_graph=pl.Series([graph], dtype=one.schema["flow_graph"]))] * BATCH_ROWS)
    return Batch(
        frames={
            "prediction_sent": rows.with_columns(
                pl.Series("event_id", list(map(id_made_at, times, numbers))),
                pl.Series("occurred_at", times).cast(one.schema["occurred_at"]),
                pl.Series("sequence", numbers, dtype=pl.Int64()),
            )
        }
    )


def test_memory_does_not_grow_with_what_is_exported(tmp_path: Path) -> None:
    url = f"duckdb:///{tmp_path / 'events'}"
    with closing(open_readable(url)) as sink:
        sink.prepare(catalog())
        for first in range(0, MANY, BATCH_ROWS):
            sink.write(large_flows(first))
    command = [sys.executable, "-c", EXPORT, url, str(tmp_path / "out"), str(FEW)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True, cwd=ROOT)
    few_mb, many_mb = map(int, done.stdout.split())
    assert many_mb - few_mb < MAX_GROWTH_MB, f"{few_mb} MB after {FEW} events, {many_mb} MB after {MANY}"
    files = list((tmp_path / "out").rglob("*.parquet"))
    assert sum(pl.scan_parquet(file).select(pl.len()).collect().item() for file in files) == MANY
