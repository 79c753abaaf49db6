"""A replay in a process of its own that can be killed: prints a line when it begins and after each batch.

After each it waits for a line of input, so that it cannot run ahead of a busy machine; goes on alone at its end.

``python -m tests.consumer.replay.replay_process SERVERS CLIENT TOPIC URL ROWS``
"""

from __future__ import annotations

import sys

from flowise_telemetry_consumer import BatchLimits, ReplayResult, replay
from flowise_telemetry_consumer.sinks import Sink, open_sink
from flowise_telemetry_consumer.sinks.clickhouse import ClickhouseSink
from flowise_telemetry_consumer.sinks.clickhouse.locks import LogLocks
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport import KafkaSettings, open_reader


def show(result: ReplayResult) -> None:
    sys.stdout.write(f"{result.offsets_read} {result.already_there.total()} {result.resumed}\n")
    sys.stdout.flush()
    sys.stdin.readline()


def open_target(url: str) -> Sink:
    """Open a sink; a lock in ClickHouse's log, which outlives its holder, does so for a second alone."""
    sink = open_sink(url)
    if isinstance(sink, ClickhouseSink):
        sink._locks = LogLocks(sink._address, "", lock_seconds=1.0)
    return sink


def main() -> int:
    servers, client, topic, url, rows = sys.argv[1:]
    settings = KafkaSettings(
        bootstrap_servers=(servers,), client="librdkafka" if client == "librdkafka" else "kafka-python"
    )
    reader, sink = open_reader(settings), open_target(url)
    result = replay(reader, sink, catalog(), topic, batch=BatchLimits(rows=int(rows)), on_report=show)
    sink.close()
    reader.close(timeout_seconds=5)
    return 0 if result.complete and not result.discrepancies() else 1


if __name__ == "__main__":
    sys.exit(main())
