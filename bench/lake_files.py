"""A lake of many files next to an empty one: ``python -m bench.lake_files COUNT``, in a process of its own for each.

The files follow each other in time without a gap, a hundred a day, and there are half as many commits since the last
checkpoint as lie between two. Batches are of new events, or of late ones: whatever comes when an outage ends.

Prints one line of JSON: seconds until the sink is open and their CPU, CPU for an event in microseconds by kind of batch
and of the first late ones, CPU of a checkpoint in seconds, peak memory, with that of filling.
"""

from __future__ import annotations

import datetime
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from statistics import mean, median
from unittest import mock

import polars as pl
from tests.consumer.sinks.batches import batch

from bench.held import with_ids
from bench.peers.measured import peak_mebibytes
from flowise_telemetry_consumer.sinks.delta import open_delta
from flowise_telemetry_consumer.sinks.delta.log import CHECKPOINT_COMMITS
from flowise_telemetry_consumer.sinks.port import Batch, Sink
from flowise_telemetry_schemas import catalog

__all__ = ["LATE"]

LATE = {"6 hours": datetime.timedelta(hours=6), "7 days": datetime.timedelta(days=7)}
"""The last so much time, all of which each late batch has events of."""

_EVENT = "prediction_sent"
_SINCE_CHECKPOINT = CHECKPOINT_COMMITS // 2
_STEP = datetime.timedelta(days=1) / CHECKPOINT_COMMITS
_DAYS = 200
_BEFORE = datetime.timedelta(days=60)
_BATCHES = 5
_BATCH_ROWS = 10_000
_FIRST_DAY = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def main() -> None:
    files = int(sys.argv[1])
    model = batch(0, _BATCH_ROWS).frames[_EVENT]
    with tempfile.TemporaryDirectory() as folder:
        url = f"delta:///{folder}/lake"
        with mock.patch("os.fsync", _leave_unsynced):  # only here: it would take most of the time
            _fill(url, model.head(3), files)
        started, cpu = time.perf_counter(), time.process_time()
        sink = open_delta(url)
        sink.prepare(catalog())
        opened, opened_cpu = time.perf_counter() - started, time.process_time() - cpu
        end = _FIRST_DAY + (_STEP * files or datetime.timedelta(days=_DAYS))
        cpu_us = {kind: _cpu_us(sink, batches) for kind, batches in _batches(model, end)}
        after = [with_ids(model.head(1), end + number * _STEP, 0) for number in range(_BATCHES + 2, _SINCE_CHECKPOINT)]
        small = [_cpu_seconds(sink, its) for its in after]
        sink.close()
    told = {"opened": opened, "opened_cpu": opened_cpu, "checkpoint_cpu": max(small) - median(small)}
    told |= {kind: mean(its) for kind, its in cpu_us.items()} | {f"{kind}, first": cpu_us[kind][0] for kind in LATE}
    print(json.dumps({**told, "peak_mebibytes": peak_mebibytes()}))


def _leave_unsynced(file: int) -> None:
    """Do nothing; a ``Mock`` would keep every call in memory, which is measured here."""


def _fill(url: str, model: pl.DataFrame, files: int) -> None:
    """Files of a few rows: a file for each of many days in each commit up to a checkpoint, and then one a commit."""
    sink = open_delta(url)
    sink.prepare(catalog())
    many = files - _SINCE_CHECKPOINT
    numbers = [range(first, many, CHECKPOINT_COMMITS) for first in range(CHECKPOINT_COMMITS)] if files else []
    numbers += [range(number, number + 1) for number in range(max(many, 0), files)]
    for its in numbers:
        parts = [with_ids(model, _FIRST_DAY + number * _STEP, 3 * number, over=_STEP * 0.99) for number in its]
        sink.write(Batch({_EVENT: pl.concat(parts)}))
    sink.close()


def _batches(model: pl.DataFrame, end: datetime.datetime) -> Iterator[tuple[str, list[pl.DataFrame]]]:
    """New ones one after the other, and late ones, each of all of the last hours or days; a first one of other times.

    No two kinds are of the same times.
    """
    numbers = range(_BATCHES + 1)
    yield "new", [with_ids(model, end + number * _STEP, number, over=_STEP) for number in numbers]
    for kind, over in LATE.items():
        end -= over
        moments = [end - _BEFORE, *[end] * _BATCHES]
        late = [with_ids(model, moment, model.height * number, over=over) for number, moment in enumerate(moments)]
        yield kind, [its.sample(fraction=1.0, shuffle=True, seed=1) for its in late]


def _cpu_us(sink: Sink, batches: list[pl.DataFrame]) -> list[float]:
    """For an event of each batch; the first one finds polars cold and is not measured."""
    return [_cpu_seconds(sink, its) / its.height * 1e6 for its in batches][1:]


def _cpu_seconds(sink: Sink, frame: pl.DataFrame) -> float:
    cpu = time.process_time()
    written = sink.write(Batch({_EVENT: frame})).written[_EVENT]
    spent = time.process_time() - cpu
    assert written == frame.height
    return spent


if __name__ == "__main__":
    main()
