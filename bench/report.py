"""The report of ten million events, out of DuckDB and out of a lake: ``python -m bench.report``.

They are of 60,000 installations' months over ninety days, and of 300,000 flows; 86 of a hundred are predictions with
six nodes each. Each report is the command in a process of its own. ``BENCH_EVENTS`` for another number.
"""

from __future__ import annotations

import datetime
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing

import polars as pl

from bench.size import REPEATS, scaled
from bench.table import Row, below, print_table
from flowise_telemetry_consumer.decoding.frames import frame_of
from flowise_telemetry_consumer.sinks import Batch, open_sink
from flowise_telemetry_schemas import catalog
from flowise_telemetry_schemas.node_types import node_types

EVENTS = int(os.environ.get("BENCH_EVENTS", scaled(10_000_000)))
ENGINES = ("duckdb", "delta")
_PROMISED_SECONDS = 10
_BATCH = 250_000
_DAYS, _MONTHS = 90, 3
_FIRST = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
_NODES, _GRAPHS = 6, 2_000
_KINDS = {"prediction_sent": 0.86, "chatflow_created": 0.06, "vector_upserted": 0.05, "tool_created": 0.03}
_MS_OF_A_DAY = 86_400_000


def _uuids(count: int) -> pl.Series:
    chance = random.Random(count)
    return pl.Series([str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(max(1, count))])


def _graphs() -> pl.Series:
    chance, types = random.Random(1), sorted(node_types())
    made = []
    for _ in range(_GRAPHS):
        nodes = [f"{its}_{number}" for number, its in enumerate(chance.sample(types, _NODES))]
        made.append({"nodes": nodes, "edges": [{"source": one, "target": nodes[-1]} for one in nodes[:-1]]})
    return pl.Series(made)


class _World:
    """Batches of events in the order of time, the same every time."""

    def __init__(self, events: int) -> None:
        self.events = events
        self._chance = random.Random(2)
        self._instances = _uuids(events * 6 // 1_000)
        self._streams = _uuids(events * 6 // 1_000 + 1)
        self._flows = _uuids(events * 3 // 100)
        self._graphs = _graphs()

    def batches(self) -> Iterator[Batch]:
        """The events, then a state of each stream."""
        for first in range(0, self.events, _BATCH):
            yield Batch(self._frames(first, min(_BATCH, self.events - first)))
        yield Batch({"stream_state": self._states()})

    def _frames(self, first: int, count: int) -> dict[str, pl.DataFrame]:
        frames = {}
        for event, share in _KINDS.items():
            rows = max(1, round(count * share))
            frames[event] = self._frame(event, first, rows)
            first += rows
        return frames

    def _frame(self, event: str, first: int, rows: int) -> pl.DataFrame:
        flows = [int(self._flows.len() * self._chance.random() ** 2) for _ in range(rows)]  # a few flows are busy
        which = pl.Series(flows)
        a_month = max(1, self._instances.len() // _MONTHS)
        month = first * _MONTHS // self.events  # an installation has another id each month
        its = which % a_month + a_month * min(month, _MONTHS - 1)
        apart = _DAYS * _MS_OF_A_DAY / self.events
        begun_ms = int(_FIRST.timestamp() * 1000)
        times = [begun_ms + int((first + number) * apart) for number in range(rows)]
        made = {
            "event_id": [
                f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-7000-8000-{first + number:012x}" for number, ms in enumerate(times)
            ],
            "occurred_at": pl.Series(times).cast(pl.Datetime("ms", "UTC")),
            "instance_id": self._instances.gather(its),
            "stream_id": self._streams.gather(its),
            "sequence": pl.int_range(first, first + rows, eager=True),
            "version": pl.Series(["3.0.1", "3.0.2", "3.1.0", "3.2.0"]).gather(its % 4),
            "chatflow_id": self._flows.gather(which),
            "chat_id": self._flows.gather((which * 7 + first) % self._flows.len()),
            "type": pl.Series(["EXTERNAL", "INTERNAL"]).gather(which % 2),
            "flow_graph": self._graphs.gather(which % _GRAPHS),
            "stop_node_id": pl.Series(["pinecone_0", "faiss_0", None]).gather(which % 3),
            "tool_id": self._flows.gather(which),
            "tool_name": pl.Series(["get_time", "search", None]).gather(which % 3),
        }
        model = frame_of(catalog().latest(event), [])
        return pl.DataFrame({name: made[name] for name in model.columns}, schema=model.schema)

    def _states(self) -> pl.DataFrame:
        count = self._instances.len()
        last_ms = int(_FIRST.timestamp() * 1000) + _DAYS * _MS_OF_A_DAY
        model = frame_of(catalog().latest("stream_state"), [])
        made = {name: pl.repeat(0, count, eager=True) for name, its in model.schema.items() if its == pl.Int64}
        made |= {
            "event_id": pl.Series(
                [f"{last_ms >> 16:08x}-{last_ms & 0xFFFF:04x}-7001-8000-{number:012x}" for number in range(count)]
            ),
            "occurred_at": pl.repeat(last_ms, count, eager=True).cast(pl.Datetime("ms", "UTC")),
            "instance_id": self._instances,
            "stream_id": self._streams.head(count),
            "version": pl.repeat("3.0.1", count, eager=True),
            "numbered": pl.repeat(self.events, count, eager=True),
            "withheld": pl.Series([[]] * count, dtype=model.schema["withheld"]),
            "ended": pl.repeat(True, count, eager=True),
        }
        return pl.DataFrame({name: made[name] for name in model.columns}, schema=model.schema)


def fill(url: str, events: int) -> None:
    """Write the events into a new sink."""
    with closing(open_sink(url)) as sink:
        sink.prepare(catalog())
        for batch in _World(events).batches():
            sink.write(batch)


def report(url: str, folder: str) -> dict[str, float]:
    """Make the report of a sink; the seconds that takes, its CPU time and its peak of memory."""
    code = "from flowise_telemetry_cli import main; main()"
    arguments = ["report", "--sink", url, "--since", _FIRST.date().isoformat(), "--out", f"{folder}/report.html"]
    command = [sys.executable, "-m", "bench.peers.timed", sys.executable, "-c", code, *arguments]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {**json.loads(done.stdout), "cpu_seconds": cpu_seconds}


def main() -> None:
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for engine in ENGINES:
            url = f"{engine}:///{folder}/{engine}"
            fill(url, EVENTS)
            runs = [report(url, folder) for _ in range(REPEATS)]
            rows.append(Row(engine, [its["seconds"] for its in runs], "s", below(_PROMISED_SECONDS)))
            rows.append(Row("  CPU time", [its["cpu_seconds"] for its in runs], "s"))
            rows.append(Row("  peak memory", [its["peak_mebibytes"] for its in runs], "MiB"))
    print_table(f"the report of {EVENTS:,} events", rows)


if __name__ == "__main__":
    main()
