"""What needs many events to be seen: memory with a long backlog, cost with a full sink. ``make bench-large``.

Takes an hour and more, and 30 GB of disk. PostgreSQL is a container whose data are on disk, or ``POSTGRES_URL``.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.services.docker_engine import quiet_testcontainers, require_image, wait_until
from tests.services.kafka import KafkaService, start_kafka
from tests.services.postgres import IMAGE

from bench.held import hold
from bench.runs import Run, ours, sink_holds
from bench.size import PEAK_MEBIBYTES, REPEATS
from bench.table import Row, at_most, print_table, ratios
from bench.topic import fill

__all__ = ["BACKLOGS", "SINKS"]

BACKLOGS = (500_000, 5_000_000)
HELD_EVENTS = 20_000_000
EVENTS = 200_000
SINKS = ("delta", "duckdb", "sqlite", "postgresql", "clickhouse")
_START_SECONDS = 60


def memory_rows(kafka: KafkaService, backlogs: tuple[int, ...], repeats: int) -> Iterator[Row]:
    """Peak memory by the length of the backlog, to Delta."""
    peaks: dict[int, list[float]] = {}
    for backlog in backlogs:
        filled = fill(kafka, backlog)
        for _ in range(repeats):
            with tempfile.TemporaryDirectory() as folder:
                url = f"delta:///{folder}/bench"
                peaks.setdefault(backlog, []).append(ours("librdkafka", filled, url).peak_mebibytes)
                sink_holds(url, filled.counts)
        wanted = at_most(PEAK_MEBIBYTES)
        yield Row(f"peak memory, a backlog of {backlog:,}", peaks[backlog], "MiB", wanted)
    yield Row("  the long over the short", ratios(peaks[backlogs[-1]], peaks[backlogs[0]]), "times", at_most(1.3))


def flat_rows(kafka: KafkaService, sinks: list[str], held_events: int, repeats: int) -> Iterator[Row]:
    """CPU for each event into an empty sink and into a full one."""
    model = fill(kafka, 50_000)
    for scheme in sinks:
        with _places(scheme) as (empty, full):
            in_full = [hold(full, model, held_events)]
            in_empty: list[dict[str, int]] = []
            runs: dict[str, list[Run]] = {empty: [], full: []}
            for seed in range(repeats):
                filled = fill(kafka, EVENTS, seed=seed)
                for url, parts in ((empty, in_empty), (full, in_full)):
                    runs[url].append(ours("librdkafka", filled, url))
                    parts.append(filled.counts)
            sink_holds(full, *in_full)
            sink_holds(empty, *in_empty)
        costs = {url: [run.cpu_us for run in ran] for url, ran in runs.items()}
        yield Row(f"{scheme}, empty at first", costs[empty], "µs CPU")
        yield Row(f"{scheme}, holding {held_events:,}", costs[full], "µs CPU")
        yield Row("  the full over the empty", ratios(costs[full], costs[empty]), "times", at_most(1.5))
        rates = {url: [run.per_second for run in ran] for url, ran in runs.items()}
        yield Row("  its rate, of the empty one's", ratios(rates[full], rates[empty]), "")


@contextmanager
def _places(scheme: str) -> Iterator[tuple[str, str]]:
    """The URLs of two new sinks."""
    if scheme != "postgresql":
        with tempfile.TemporaryDirectory() as folder:
            yield f"{scheme}:///{Path(folder) / 'empty'}", f"{scheme}:///{Path(folder) / 'full'}"
        return
    with _postgres() as url:
        yield f"{url}?schema=empty", f"{url}?schema=full"


@contextmanager
def _postgres() -> Iterator[str]:
    if given := os.environ.get("POSTGRES_URL"):
        yield given
        return
    require_image(IMAGE)
    with quiet_testcontainers():
        from testcontainers.core.container import DockerContainer

        container = DockerContainer(IMAGE).with_exposed_ports(5432)
        container.with_envs(POSTGRES_USER="bench", POSTGRES_PASSWORD="bench")
        container.start()
        try:
            wait_until(
                lambda: b"".join(container.get_logs()).count(b"ready to accept connections") >= 2,
                timeout_seconds=_START_SECONDS,
                alive=lambda: True,
                what="the PostgreSQL container",
            )
            yield (
                f"postgresql://bench:bench@{container.get_container_host_ip()}:{container.get_exposed_port(5432)}/bench"
            )
        finally:
            container.stop()


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(prog="make bench-large", description=__doc__, allow_abbrev=False)
    parser.add_argument("--held", type=int, default=HELD_EVENTS, help="events that the full sinks hold")
    parser.add_argument("--backlogs", type=int, nargs=2, default=BACKLOGS, help="events that wait, few and many")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--sinks", nargs="+", choices=SINKS, default=SINKS)
    parser.add_argument("--only", choices=("memory", "flat"), action="append")
    options = parser.parse_args()
    chosen = options.only or ["memory", "flat"]
    kafka, _ = start_kafka()
    try:
        if "memory" in chosen:
            print_table("peak memory by backlog", memory_rows(kafka, tuple(options.backlogs), options.repeats))
        if "flat" in chosen:
            rows = flat_rows(kafka, list(options.sinks), options.held, options.repeats)
            print_table(f"CPU for each of {EVENTS:,} events", rows)
    finally:
        kafka.stop()


if __name__ == "__main__":
    main()
