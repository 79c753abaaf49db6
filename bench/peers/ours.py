"""Our consumer into a sink until so many events are there: ``CLIENT SERVERS TOPIC COUNT SINK_URL GROUP``.

With COUNT 0 until SIGTERM.
"""

from __future__ import annotations

import signal
import sys
import threading
from typing import Any, cast

from bench.peers.measured import Measured
from flowise_telemetry_consumer import Consumer, ConsumerCounters, ConsumerSettings, open_dead_letter_writer
from flowise_telemetry_consumer.process import tune_gc
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport import KafkaSettings, Record, RecordReader, open_reader

__all__: list[str] = []


class Noting:
    """A reader that tells of its first records."""

    def __init__(self, reader: RecordReader, measured: Measured) -> None:
        self._reader = reader
        self._measured = measured

    def poll(self, *, timeout_seconds: float, max_records: int) -> list[Record]:
        polled = self._reader.poll(timeout_seconds=timeout_seconds, max_records=max_records)
        if polled:
            self._measured.begin()
        return polled

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)


def main() -> None:
    client, servers, topic, count, sink, group = sys.argv[1:]
    settings = KafkaSettings.from_env({
        "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": servers, "FLOWISE_TELEMETRY_CLIENT": client
    })  # fmt: skip
    tune_gc()  # as the command does
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    measured = Measured()
    reader = open_reader(settings, group=group)
    writer = open_dead_letter_writer(settings)

    def look(counters: ConsumerCounters) -> None:
        done = counters.written.total() + counters.duplicates.total() + counters.dead.total()
        if int(count) and done >= int(count):
            stop.set()

    noting = cast("RecordReader", Noting(reader, measured))
    consumer_settings = ConsumerSettings(topic=topic, group=group)
    consumer = Consumer(noting, open_sink(sink), writer, catalog(), consumer_settings, on_change=look)
    measured.connecting()
    counters = consumer.run(stop)
    measured.end(counters.written)
    reader.close(timeout_seconds=5.0)
    writer.close(timeout_seconds=5.0)


if __name__ == "__main__":
    main()
