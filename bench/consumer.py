"""What the consumer costs, next to merely reading and to its peers, on one topic: ``python -m bench.consumer``.

The broker and the database are those of the tests (``KAFKA_BOOTSTRAP_SERVERS``, ``POSTGRES_URL``, Docker, …). Each
measurement is a process of its own, its CPU time by getrusage from the first record to the last; foreign ones have
environments of their own under ``bench/.venvs``. The rows in the sinks are counted against the topic. Every figure is
measured at least five times, in turn with what it is compared to.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.services.kafka import start_kafka
from tests.services.postgres import PostgresService, start_postgres

from bench.group_members import members_per_second
from bench.psql import PreparedRows
from bench.runs import Run, built_peer, ours, peer, reading, sink_holds
from bench.size import PEAK_MEBIBYTES, REPEATS, SMOKE
from bench.table import Row, at_least, at_most, print_table, ratios
from bench.topic import FilledTopic, fill

__all__ = ["CLIENTS"]

CLIENTS = ("librdkafka", "kafka-python")
EVENTS = 20_000 if SMOKE else 200_000  # fewer are gone before two members share them
QUIXSTREAMS_EVENTS = 50_000
FASTSTREAM_EVENTS = 15_000
_TABLES = ("delta", "postgres", "duckdb", "clickhouse", "group")
GROUP_TIMES_EVENTS = 5  # a group needs seconds to share out, in which one member has read much of a short topic


def _speeds(what: str, runs: list[Run]) -> Iterator[Row]:
    yield Row(what, [run.cpu_us for run in runs], "µs CPU")
    yield Row("", [run.per_second for run in runs], "events/s")


def _ours(what: str, runs: list[Run]) -> Iterator[Row]:
    yield from _speeds(what, runs)
    yield Row("  peak memory", [run.peak_mebibytes for run in runs], "MiB", at_most(PEAK_MEBIBYTES))


def _cpu(runs: list[Run]) -> list[float]:
    return [run.cpu_us for run in runs]


def _rates(runs: list[Run]) -> list[float]:
    return [run.per_second for run in runs]


def _rust(filled: FilledTopic) -> Run | None:
    """Into Parquet files of a new folder, and nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        return built_peer("topic_to_parquet", filled, folder)


def _file_sink(scheme: str, filled: FilledTopic, client: str) -> Run:
    """Into a new file or folder."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"{scheme}:///{Path(folder) / 'bench'}"
        run = ours(client, filled, url)
        sink_holds(url, filled.counts)
    return run


def delta_rows(filled: FilledTopic, repeats: int) -> Iterator[Row]:
    """Reading, and the way to Delta, with both clients; the peers decode and keep nothing."""
    read: dict[str, list[Run]] = {client: [] for client in CLIENTS}
    polled: dict[str, list[Run]] = {client: [] for client in CLIENTS}
    kept: dict[str, list[Run]] = {client: [] for client in CLIENTS}
    rust: list[Run | None] = []
    quixstreams: list[Run | None] = []
    faststream: list[Run | None] = []
    for _ in range(repeats):
        for client in CLIENTS:
            read[client].append(reading(client, filled))
            polled[client].append(reading(client, filled, through="transport"))
            kept[client].append(_file_sink("delta", filled, client))
        rust.append(_rust(filled))
        quixstreams.append(peer("quixstreams", "quix", filled, events=QUIXSTREAMS_EVENTS))
        faststream.append(peer("faststream", "fast_stream", filled, events=FASTSTREAM_EVENTS))
    for client in CLIENTS:
        yield from _speeds(f"merely reading, {client}", read[client])
        yield from _speeds(f"our reader, {client}", polled[client])
        yield from _ours(f"to Delta, {client}", kept[client])
        yield Row("  over merely reading, CPU", ratios(_cpu(kept[client]), _cpu(read[client])), "times", at_most(2.5))
        yield Row("  over our reader, CPU", ratios(_cpu(kept[client]), _cpu(polled[client])), "times")
    if len(limit := [run for run in rust if run is not None]) == repeats:
        yield from _speeds("to Parquet files in Rust, nothing checked", limit)
        yield Row("  ours to Delta over it, CPU", ratios(_cpu(kept["librdkafka"]), _cpu(limit)), "times", at_most(3))
    for name, runs, wanted in (("quixstreams", quixstreams, 8), ("FastStream", faststream, 40)):
        measured = [run for run in runs if run is not None]
        if len(measured) == repeats:
            yield from _speeds(f"{name}, decoding only", measured)
            over = ratios(_cpu(measured), _cpu(kept["librdkafka"]))
            yield Row("  over ours to Delta, CPU", over, "times", at_least(wanted))


def postgres_rows(filled: FilledTopic, repeats: int, service: PostgresService) -> Iterator[Row]:
    """To PostgreSQL: ours, ``psql`` with the rows ready-made, and a loop written by hand."""
    kept: list[Run] = []
    loaded: list[float | None] = []
    written: list[Run | None] = []
    with tempfile.TemporaryDirectory() as folder:
        rows = PreparedRows(filled, Path(folder))
        for _ in range(repeats):
            url = service.new_database()
            kept.append(ours("librdkafka", filled, url))
            sink_holds(url, filled.counts)
            url = service.new_database()
            loaded.append(rows.load(url))
            sink_holds(url, filled.counts)
            written.append(peer("hand_written", "hand_written", filled, service.new_database()))
    yield from _ours("to PostgreSQL, librdkafka", kept)
    if psql := [rate for rate in loaded if rate is not None]:
        yield Row("psql, COPY and the same merge", psql, "events/s")
        yield Row("  ours, of its rate", ratios(_rates(kept), psql), "", at_least(0.7))
    if len(by_hand := [run for run in written if run is not None]) == repeats:
        yield from _speeds("a loop written by hand", by_hand)
        yield Row("  over ours, CPU", ratios(_cpu(by_hand), _cpu(kept)), "times", at_least(2.5))


def duckdb_rows(filled: FilledTopic, repeats: int) -> Iterator[Row]:
    """To DuckDB, and SQLite beside it."""
    read: list[Run] = []
    duckdb: list[Run] = []
    sqlite: list[Run] = []
    for _ in range(repeats):
        read.append(reading("librdkafka", filled))
        duckdb.append(_file_sink("duckdb", filled, "librdkafka"))
        sqlite.append(_file_sink("sqlite", filled, "librdkafka"))
    yield from _speeds("merely reading, librdkafka", read)
    yield from _ours("to DuckDB, librdkafka", duckdb)
    yield Row("  of the rate of merely reading", ratios(_rates(duckdb), _rates(read)), "", at_least(0.5))
    yield from _ours("to SQLite, librdkafka", sqlite)


def clickhouse_rows(filled: FilledTopic, repeats: int) -> Iterator[Row]:
    """To ClickHouse, whose engine is in the same process and counts, too."""
    read: list[Run] = []
    kept: list[Run] = []
    for _ in range(repeats):
        read.append(reading("librdkafka", filled))
        kept.append(_file_sink("clickhouse", filled, "librdkafka"))
    yield from _speeds("merely reading, librdkafka", read)
    yield from _speeds("to ClickHouse, the engine in the process", kept)
    yield Row("  peak memory, most of it the engine's", [run.peak_mebibytes for run in kept], "MiB")
    yield Row("  over merely reading, CPU", ratios(_cpu(kept), _cpu(read)), "times")


def group_rows(filled: FilledTopic, repeats: int) -> Iterator[Row]:
    """One consumer on one core, and two on two in one group, into one lake of Delta tables."""
    one: list[float] = []
    two: list[float] = []
    for _ in range(repeats):
        for rates, members in ((one, 1), (two, 2)):
            with tempfile.TemporaryDirectory() as folder:
                url = f"delta:///{folder}/bench"
                rates.append(members_per_second(filled, url, members))
                sink_holds(url, filled.counts)
    yield Row("one consumer", one, "events/s")
    yield Row("two in one group", two, "events/s")
    yield Row("  over one", ratios(two, one), "times", at_least(1.5))


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.consumer", description=__doc__, allow_abbrev=False)
    parser.add_argument("--events", type=int, default=int(os.environ.get("BENCH_EVENTS", EVENTS)), help="on the topic")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--only", choices=_TABLES, action="append")
    options = parser.parse_args()
    chosen = options.only or list(_TABLES)
    kafka, _ = start_kafka()
    postgres = start_postgres()[0] if "postgres" in chosen else None
    try:
        filled = fill(kafka, options.events)
        longer = fill(kafka, GROUP_TIMES_EVENTS * options.events) if "group" in chosen else filled
        title = f"{filled.events:,} events, {options.repeats} times each"
        tables: dict[str, tuple[str, Callable[[], Iterator[Row]]]] = {
            "delta": ("topic to Delta", lambda: delta_rows(filled, options.repeats)),
            "duckdb": ("topic to DuckDB and SQLite", lambda: duckdb_rows(filled, options.repeats)),
            "clickhouse": ("topic to ClickHouse", lambda: clickhouse_rows(filled, options.repeats)),
            "group": ("two in one group", lambda: group_rows(longer, options.repeats)),
        }
        if postgres is not None:
            service = postgres
            tables["postgres"] = ("topic to PostgreSQL", lambda: postgres_rows(filled, options.repeats, service))
        for name in chosen:
            what, rows = tables[name]
            print_table(f"{what}: {title}", rows())
    finally:
        kafka.stop()
        if postgres is not None:
            postgres.stop()


if __name__ == "__main__":
    main()
