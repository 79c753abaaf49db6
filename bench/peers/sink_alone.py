"""A sink alone, with batches of frames that are ready: ``FRAMES SINK_URL WARM_UP``; it runs on earlier versions, too.

FRAMES has a folder for each batch, with a file ``<event>.arrow`` for each of its events. The first batches, WARM_UP of
them, are written before anything is measured.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import polars as pl

from bench.peers.measured import Measured
from flowise_telemetry_consumer.sinks import Batch, KeepsProgress, open_sink
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport import TopicPartition

__all__: list[str] = []

_SOURCE, _PARTITION = "bench", TopicPartition("bench", 0)


def main() -> None:
    folder, url, warm_up = sys.argv[1:]
    batches = [
        Batch({file.stem: pl.read_ipc(file.read_bytes()) for file in its.iterdir()}, {_PARTITION: number}, _SOURCE)
        for number, its in enumerate(sorted(Path(folder).iterdir()), start=1)
    ]
    sink = open_sink(url)
    assert isinstance(sink, KeepsProgress)
    sink.prepare(catalog())
    sink.claim(_SOURCE, [_PARTITION])
    for batch in batches[: int(warm_up)]:
        sink.write(batch)
    measured = Measured()
    measured.connecting()
    measured.begin()
    counts: Counter[str] = Counter()
    for batch in batches[int(warm_up) :]:
        counts.update(sink.write(batch).written)
    measured.end(counts)
    sink.close()


if __name__ == "__main__":
    main()
