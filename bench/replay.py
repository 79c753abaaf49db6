"""How fast a topic is replayed into Delta, next to ``kcat`` that merely reads it: ``python -m bench.replay``.

The command line as a user runs it, from its start to its end, with one worker and with two; so is ``kcat``, where it is
installed. The rows in the sink are counted against the topic.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence

from tests.services.kafka import start_kafka

from bench.replay_kills import COMMAND
from bench.runs import sink_holds
from bench.size import REPEATS, scaled
from bench.table import Row, at_least, at_most, print_table, ratios
from bench.topic import FilledTopic, fill

__all__: list[str] = []

EVENTS = scaled(2_000_000)
_TIMEOUT_SECONDS = 3_600
_PEAK_MEBIBYTES = 400


def _timed(command: Sequence[str]) -> tuple[float, float]:
    """Seconds, and the peak memory of the process in MiB; its children, if it has any, are not in that."""
    begun = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    limit = threading.Timer(_TIMEOUT_SECONDS, process.kill)
    limit.start()
    _, status, used = os.wait4(process.pid, 0)
    limit.cancel()
    seconds = time.monotonic() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.stderr is not None
    told = process.stderr.read().strip()
    process.stderr.close()
    if process.returncode:
        raise SystemExit(f"error: {command[0]} failed: {told[-2_000:]}")
    return seconds, used.ru_maxrss / 1024


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
    yield Row("  peak memory", peaks, "MiB", at_most(_PEAK_MEBIBYTES))
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
