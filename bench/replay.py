"""How fast a topic is replayed into Delta, next to ``kcat`` that merely reads it: ``python -m bench.replay``.

The command line as a user runs it, from its start to its end, with one worker and with two; so is ``kcat``, where it is
installed. The rows in the sink are counted against the topic.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence

from tests.services.kafka import start_kafka

from bench.environments import BENCH
from bench.replay_kills import COMMAND
from bench.runs import sink_holds
from bench.size import PEAK_MEBIBYTES, REPEATS, scaled
from bench.table import Row, at_least, at_most, print_table, ratios
from bench.topic import FilledTopic, fill

__all__: list[str] = []

EVENTS = scaled(2_000_000)


def _timed(command: Sequence[str]) -> tuple[float, float]:
    """Seconds, and the peak memory of the process in MiB; its children, if it has any, are not in that."""
    timed = [sys.executable, "-m", "bench.peers.timed", *command]
    done = subprocess.run(timed, cwd=BENCH.parent, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"error: {command[0]} failed: {done.stderr.strip()[-2_000:]}")
    told = json.loads(done.stdout)
    return told["seconds"], told["peak_mebibytes"]


def _replayed(filled: FilledTopic, workers: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        url = f"delta:///{folder}/bench"
        where = ("--bootstrap-servers", filled.servers, "--topic", filled.topic)
        timed = _timed([*COMMAND, url, *where, "--workers", str(workers)])
        sink_holds(url, filled.counts)
    return timed


def rows(filled: FilledTopic, repeats: int) -> Iterator[Row]:
    """One worker, two, and kcat."""
    kcat = shutil.which("kcat")
    read: list[float] = []
    one: list[float] = []
    two: list[float] = []
    peaks: list[float] = []
    for _ in range(repeats):
        if kcat is not None:
            merely_read = (kcat, *f"-C -b {filled.servers} -t {filled.topic} -o beginning -e -q -f".split(), "")
            read.append(filled.events / _timed(merely_read)[0])
        seconds, peak = _replayed(filled, 1)
        one.append(filled.events / seconds)
        peaks.append(peak)
        two.append(filled.events / _replayed(filled, 2)[0])
    yield Row("one worker", one, "events/s")
    yield Row("  peak memory", peaks, "MiB", at_most(PEAK_MEBIBYTES))
    yield Row("two workers", two, "events/s")
    yield Row("  over one", ratios(two, one), "times", at_least(1.6))
    if kcat is not None:
        yield Row("merely reading, kcat", read, "events/s")
        yield Row("  one worker, of its rate", ratios(one, read), "", at_least(0.4))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.replay", description=__doc__, allow_abbrev=False)
    parser.add_argument("--events", type=int, default=int(os.environ.get("BENCH_EVENTS", EVENTS)), help="on the topic")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    options = parser.parse_args()
    kafka, _ = start_kafka()
    try:
        filled = fill(kafka, options.events)
        title = f"topic to Delta by replay: {filled.events:,} events, {options.repeats} times each"
        print_table(title, rows(filled, options.repeats))
    finally:
        kafka.stop()


if __name__ == "__main__":
    main()
