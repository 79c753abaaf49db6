"""kill -9 at random moments of a replay, again and again: the sink ends with the rows of an uninterrupted one."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from flowise_telemetry_consumer import list_runs, replay
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport import open_reader
from tests.consumer.filled_topic import fill
from tests.consumer.sinks.clickhouse_engine import Engine
from tests.consumer.sinks.roles import open_readable
from tests.services.kafka import KafkaService
from tests.thoroughness import IS_CI, KILL_ROUNDS

pytestmark = [pytest.mark.real_broker, pytest.mark.xdist_group("kills")]

BATCH_ROWS = 250
BATCHES_BEFORE_A_KILL = 6  # at most
EVENTS = (BATCHES_BEFORE_A_KILL + 2) * BATCH_ROWS * KILL_ROUNDS  # some are left after the last kill


# On a worker of its own: the slowest, as an engine takes a second to start.
CLICKHOUSE = pytest.param("clickhouse", marks=pytest.mark.xdist_group("clickhouse-kills"))


def rows_of(url: str) -> dict[str, pl.DataFrame]:
    sink = open_readable(url)
    try:
        return {event: pl.concat([*sink.read(event)]).sort("event_id") for event in catalog().events}
    finally:
        sink.close()


@pytest.fixture(params=["sqlite", "postgres", "duckdb", "delta", *([CLICKHOUSE] if IS_CI else [])])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "clickhouse":
        # A folder's engine lets one process in at a time, and a process has one.
        engine: Engine = request.getfixturevalue("engine")
        engine.end()
    if request.param != "postgres":
        return f"{request.param}:///{tmp_path / 'killed'}"
    found: str = request.getfixturevalue("new_postgres_url")
    return found


def test_a_replay_killed_again_and_again_ends_with_the_rows_of_an_uninterrupted_one(
    kafka: KafkaService, url: str, tmp_path: Path
) -> None:
    topic, servers = kafka.new_topic(), ",".join(kafka.bootstrap_servers)
    fill(servers, topic, EVENTS)
    dice = random.Random(url)
    command = [sys.executable, "-m", "tests.consumer.replay.replay_process", servers, "librdkafka", topic, url]
    for kill in range(KILL_ROUNDS):
        with subprocess.Popen(
            [*command, str(BATCH_ROWS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as running:
            assert running.stdin is not None
            assert running.stdout is not None
            for _ in range(dice.randint(1, BATCHES_BEFORE_A_KILL)):
                # What was written is never read again, as rows and offsets are one transaction. In a lake of Delta
                # tables there is none: the tables of a batch come before its offsets.
                assert running.stdout.readline().split()[1] == "0" or url.startswith("delta")
                running.stdin.write("\n")
                running.stdin.flush()
            time.sleep(dice.random() / 100)
            running.kill()
            assert running.wait() == -9
        if kill == 3:
            fill(servers, topic, 100, first=EVENTS)  # comes after the ends of the first start
    finished = subprocess.run(
        [*command, str(BATCH_ROWS)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True
    )
    lines = finished.stdout.splitlines()
    assert lines, "there was something left to do after the last kill"
    read, repeated, resumed = lines[-1].split()
    assert (read, resumed) == (str(EVENTS), "True")
    assert repeated == "0" or url.startswith("delta")

    sink = open_readable(url)
    (run,) = list_runs(sink)
    sink.close()
    assert run.finished

    whole = f"sqlite:///{tmp_path / 'whole.db'}"
    reader, sink = open_reader(kafka.settings(client="librdkafka")), open_readable(whole)
    with contextlib.closing(sink):
        replay(reader, sink, catalog(), run.request)
    reader.close(timeout_seconds=5)
    expected = {
        event: frame.filter(pl.col("event_id").str.tail(12).str.to_integer(base=16) < EVENTS)
        for event, frame in rows_of(whole).items()
    }
    found = rows_of(url)
    assert {event: frame.height for event, frame in found.items()} == {e: f.height for e, f in expected.items()}
    assert all(found[event].equals(expected[event]) for event in expected)
