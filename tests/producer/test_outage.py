"""A real broker that is absent at the start, dies and comes back."""

from __future__ import annotations

import logging
import socket

import pytest

from flowise_telemetry_transport import open_reader
from tests.consumer.tcp_door import TcpDoor
from tests.producer.conftest import MakeTelemetry
from tests.producer.samples import tool_created, wait_until
from tests.services.kafka import KafkaService


def levels(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [line.levelname for line in caplog.records if line.levelno >= logging.INFO]


@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_absent_at_the_start_and_there_later(
    client: str,
    kafka: KafkaService,
    make_telemetry: MakeTelemetry,
    environ: dict[str, str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO, "flowise_telemetry")
    monkeypatch.setattr("flowise_telemetry.kafka_writer._DELIVERY_TIMEOUT_SECONDS", 2.0)
    topic = kafka.new_topic()
    host, _, port = kafka.bootstrap_servers[0].rpartition(":")
    # Bootstraps through the door; what the broker then advertises is its own address.
    door = TcpDoor(lambda: socket.create_connection((host, int(port))))
    door.shut()
    environ["FLOWISE_TELEMETRY_CLIENT"] = client
    telemetry = make_telemetry(
        writer_factory=None, bootstrap_servers=f"127.0.0.1:{door.port}", topic=topic, first_run_notice=False
    )
    for number in range(200):
        telemetry.send_telemetry(tool_created(number))
    assert not telemetry.flush(3.0)
    wait_until(lambda: levels(caplog) == ["WARNING"])
    door.open()
    wait_until(lambda: telemetry.flush(1.0), timeout_seconds=90.0)
    door.shut()
    assert telemetry.stats().sent == 200
    assert telemetry.stats().dropped == {}
    assert levels(caplog) == ["WARNING", "INFO"]
    reader = open_reader(kafka.settings())
    assert sum(reader.end_offsets(reader.partitions_of(topic)).values()) >= 200
    reader.close()
