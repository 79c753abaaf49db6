"""A lake of many files next to an empty one: ``python -m bench.lake_files COUNT``, in a process of its own for each.

Prints one line of JSON: seconds until the sink is open and their CPU, CPU of a batch an event in microseconds, peak
memory, with that of filling.
"""

from __future__ import annotations

import datetime
import json
import resource
import sys
import tempfile
import time
from unittest import mock

import polars as pl
from tests.consumer.sinks.batches import batch

from bench.held import with_ids
from flowise_telemetry_consumer.sinks.delta import open_delta
from flowise_telemetry_consumer.sinks.port import Batch
from flowise_telemetry_schemas import catalog

__all__: list[str] = []

_EVENT = "prediction_sent"
_FILES_A_BATCH = 200
_BATCHES = 5
_BATCH_ROWS = 10_000
_FIRST_DAY = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def main() -> None:
    files = int(sys.argv[1])
    model = batch(0, _BATCH_ROWS).frames[_EVENT]
    with tempfile.TemporaryDirectory() as folder:
        url = f"delta:///{folder}/lake"
        with mock.patch("os.fsync", _leave_unsynced):  # only here: it would take most of the time
            _fill(url, model, files)
        started, cpu = time.perf_counter(), time.process_time()
        sink = open_delta(url)
        sink.prepare(catalog())
        opened, opened_cpu = time.perf_counter() - started, time.process_time() - cpu
        now = _FIRST_DAY + datetime.timedelta(days=_FILES_A_BATCH)
        batches = [Batch({_EVENT: with_ids(model, now, number * model.height)}) for number in range(_BATCHES + 1)]
        sink.write(batches.pop())  # the first one finds polars cold
        cpu = time.process_time()
        written = sum(sink.write(its).written[_EVENT] for its in batches)
        cpu_us = (time.process_time() - cpu) / written * 1e6
        assert written == _BATCHES * model.height
        sink.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"opened": opened, "opened_cpu": opened_cpu, "cpu_us": cpu_us, "peak_mebibytes": peak}))


def _leave_unsynced(file: int) -> None:
    """Do nothing; a ``Mock`` would keep every call in memory, which is measured here."""


def _fill(url: str, model: pl.DataFrame, files: int) -> None:
    """A file for each day of many, commit after commit: three rows each."""
    sink = open_delta(url)
    sink.prepare(catalog())
    days = [_FIRST_DAY + datetime.timedelta(days=day) for day in range(_FILES_A_BATCH)]
    for first in range(0, files, _FILES_A_BATCH):
        # Each at another time of its day, as the files of a consumer are.
        later = datetime.timedelta(minutes=10 * (first // _FILES_A_BATCH))
        parts = [with_ids(model.head(3), day + later, 3 * (first + number)) for number, day in enumerate(days)]
        sink.write(Batch({_EVENT: pl.concat(parts[: files - first])}))
    sink.close()


if __name__ == "__main__":
    main()
