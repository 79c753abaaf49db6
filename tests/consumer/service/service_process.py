"""A consumer in a process of its own, to be killed: ``python -m tests.consumer.service.service_process …``."""

from __future__ import annotations

import sys
import threading

from flowise_telemetry_consumer import BatchLimits, Consumer, ConsumerCounters, ConsumerSettings
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport import KafkaSettings, open_reader, open_writer, parse_bootstrap_servers


def main() -> None:
    servers, client, topic, group, url = sys.argv[1:]
    settings = KafkaSettings(
        bootstrap_servers=parse_bootstrap_servers(servers),
        client="librdkafka" if client == "librdkafka" else "kafka-python",
        session_timeout_seconds=6.0,
        request_timeout_seconds=10.0,
    )

    def told(counters: ConsumerCounters) -> None:
        sys.stdout.write(f"{counters.written.total()} written\n")
        sys.stdout.flush()

    Consumer(
        open_reader(settings, group=group),
        open_sink(url),
        open_writer(settings),
        catalog(),
        ConsumerSettings(topic=topic, group=group, batch=BatchLimits(rows=40)),
        on_change=told,
    ).run(threading.Event())


if __name__ == "__main__":
    main()
