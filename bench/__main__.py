"""What one event costs at each stage, in microseconds, with real code and no network.

The broker is the in-memory one, so that only our own time is measured; SQLite is real and on disk. Each stage is run
``--repeats`` times and the best is shown: what took longer shared the machine with something else.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from bench.size import REPEATS, scaled
from flowise_telemetry import Limits, Telemetry
from flowise_telemetry_cli.commands.demo.app import example_events
from flowise_telemetry_consumer.decoding.decoder import Decoder
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_consumer.sinks.port import Batch
from flowise_telemetry_schemas import Event, catalog
from flowise_telemetry_transport import InMemoryBroker, Record, TopicSpec
from flowise_telemetry_transport.topics import EVENTS_TOPIC

EVENTS = scaled(20_000)
BATCH_RECORDS = 1_000
DELIVERY_TIMEOUT_SECONDS = 120.0


def produced(events: Sequence[Event]) -> tuple[list[Record], float, float]:
    """The records of the events; seconds spent in the app's calls, and until all were delivered."""
    broker = InMemoryBroker()
    broker.open_admin().create_topic(TopicSpec(EVENTS_TOPIC))
    with tempfile.TemporaryDirectory() as home:
        env_file = Path(home) / ".env"
        env_file.touch()
        telemetry = Telemetry(
            app_version="3.0.1",
            environ={"HOME": home, "XDG_CONFIG_HOME": home},
            env_file=env_file,
            limits=Limits(buffer_max_events=len(events), buffer_max_bytes=1 << 30),
            writer_factory=broker.open_writer,
        )
        begun = time.perf_counter()
        for event in events:
            telemetry.send_telemetry(event)
        called = time.perf_counter()
        if not telemetry.flush(DELIVERY_TIMEOUT_SECONDS):
            raise SystemExit(f"error: not delivered within {DELIVERY_TIMEOUT_SECONDS:g} s")
        delivered = time.perf_counter()
        telemetry.close()
    reader = broker.open_reader()
    reader.assign(dict.fromkeys(reader.partitions_of(EVENTS_TOPIC), 0))
    records: list[Record] = []
    while polled := reader.poll(timeout_seconds=0.0, max_records=BATCH_RECORDS):
        records += polled
    return records, called - begun, delivered - begun


def decoded(records: Sequence[Record]) -> tuple[list[dict[str, pl.DataFrame]], float]:
    """The frames of the records, batch by batch, and the seconds it took."""
    decoder = Decoder(catalog())
    begun = time.perf_counter()
    frames = [
        dict(decoder.decode(records[first : first + BATCH_RECORDS]).frames)
        for first in range(0, len(records), BATCH_RECORDS)
    ]
    return frames, time.perf_counter() - begun


def written(batches: Sequence[dict[str, pl.DataFrame]]) -> float:
    """Seconds to bring the frames into a new SQLite file, a transaction a batch."""
    with tempfile.TemporaryDirectory() as folder:
        sink = open_sink(f"sqlite:///{Path(folder) / 'bench.db'}")
        sink.prepare(catalog())
        begun = time.perf_counter()
        for frames in batches:
            sink.write(Batch(frames))
        seconds = time.perf_counter() - begun
        sink.close()
    return seconds


def measured(count: int, repeats: int) -> dict[str, float]:
    """Microseconds an event by stage, the best of all repeats."""
    events = list(example_events(count))
    best: dict[str, float] = {}
    for _ in range(repeats):
        records, calls, delivery = produced(events)
        batches, decoding = decoded(records)
        control = catalog().control
        rows = sum(frame.height for frames in batches for name, frame in frames.items() if name not in control)
        if rows != count:
            raise SystemExit(f"error: {count} events became {rows} rows")
        seconds = {
            "send_telemetry, on the app's thread": calls,
            "producer, until delivered": delivery,
            "consumer, decode and check": decoding,
            "sink, SQLite": written(batches),
        }
        for stage, spent in seconds.items():
            best[stage] = min(best.get(stage, float("inf")), spent / count * 1e6)
    return best


def main() -> None:
    """Prints a table, or with ``--json`` an object."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__, allow_abbrev=False)
    parser.add_argument("--events", type=int, default=int(os.environ.get("BENCH_EVENTS", EVENTS)), help="how many")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="of which the best is shown")
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args()
    stages = measured(options.events, options.repeats)
    if options.json:
        print(json.dumps({"microseconds_per_event": {stage: round(value, 2) for stage, value in stages.items()}}))
        return
    machine = f"Python {platform.python_version()}, {os.cpu_count()} CPUs"
    print(f"{options.events} events, best of {options.repeats}; {machine}", file=sys.stderr)
    for stage, microseconds in stages.items():
        print(f"{stage:<40} {microseconds:8.1f} µs an event   {1e6 / microseconds:10,.0f} events/s")


if __name__ == "__main__":
    main()
