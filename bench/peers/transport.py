"""Reads a topic through our own reader, with everything that a record is: ``CLIENT SERVERS TOPIC COUNT``."""

from __future__ import annotations

import sys

from bench.peers.measured import Measured
from flowise_telemetry_transport import KafkaSettings, open_reader

__all__: list[str] = []

_AT_ONCE = 2_000


def main() -> None:
    client, servers, topic, count = sys.argv[1:]
    measured = Measured()
    reader = open_reader(
        KafkaSettings.from_env({"FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": servers, "FLOWISE_TELEMETRY_CLIENT": client})
    )
    measured.connecting()
    reader.assign(dict.fromkeys(reader.partitions_of(topic), 0))
    seen = 0
    while seen < int(count):
        records = reader.poll(timeout_seconds=1.0, max_records=_AT_ONCE)
        if records:
            measured.begin()
        seen += len(records)
    measured.end({"any": seen})
    reader.close()


if __name__ == "__main__":
    main()
