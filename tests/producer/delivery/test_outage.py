"""A real broker that is absent at the start, dies and comes back."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from flowise_telemetry import Limits
from flowise_telemetry.delivery.in_flight import WriterFactory
from flowise_telemetry.delivery.kafka import open_kafka_writer
from flowise_telemetry_schemas import catalog, codec
from flowise_telemetry_transport import KafkaSettings, TopicSpec, open_admin, open_reader
from tests.consumer.tcp_door import TcpDoor
from tests.producer.conftest import MakeTelemetry
from tests.producer.delivery.mortal_kafka import MortalKafka
from tests.producer.samples import is_control, tool_created, wait_until
from tests.services.docker_engine import quiet_testcontainers
from tests.services.kafka import IMAGE, KafkaService


def levels(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [line.levelname for line in caplog.records if line.levelno >= logging.INFO]


def impatient_client(client: str, servers: str) -> WriterFactory:
    """The producer's own client, but one that reports an undelivered event after 2 s."""
    environ = {"FLOWISE_TELEMETRY_CLIENT": client, "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": servers}
    return lambda: open_kafka_writer(environ, buffer_bytes=Limits().buffer_max_bytes, delivery_timeout_seconds=2.0)


@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_absent_at_the_start_and_there_later(
    client: str,
    kafka: KafkaService,
    make_telemetry: MakeTelemetry,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "flowise_telemetry")
    topic = kafka.new_topic()
    host, _, port = kafka.bootstrap_servers[0].rpartition(":")
    # Bootstraps through the door; what the broker then advertises is its own address.
    door = TcpDoor(lambda: socket.create_connection((host, int(port))))
    door.shut()
    telemetry = make_telemetry(writer_factory=impatient_client(client, f"127.0.0.1:{door.port}"), topic=topic)
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


@pytest.fixture(scope="module")
def mortal_kafka(kafka: KafkaService) -> Iterator[MortalKafka]:
    if kafka.kind != "testcontainers":
        pytest.skip("a broker that can be killed is a container: give Docker")
    with quiet_testcontainers():
        broker = MortalKafka(IMAGE)
        broker.start()
    yield broker
    broker.end()


def sequences(settings: KafkaSettings, topic: str) -> set[int]:
    """Of all events in the topic."""
    reader = open_reader(settings)
    partitions = reader.partitions_of(topic)
    reader.assign(dict.fromkeys(partitions, 0))
    ends = reader.end_offsets(partitions)
    found: set[int] = set()
    while any(reader.position(partition) < end for partition, end in ends.items()):
        for record in reader.poll(timeout_seconds=10.0, max_records=5_000):
            if not is_control(record):
                found.add(codec.decode(record.value, catalog())[1]["sequence"])
    reader.close()
    return found


@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_dies_in_the_middle_and_returns(
    client: str,
    mortal_kafka: MortalKafka,
    make_telemetry: MakeTelemetry,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "flowise_telemetry")
    settings = KafkaSettings(bootstrap_servers=(mortal_kafka.get_bootstrap_server(),))
    topic = f"mortal-{client}"
    admin = open_admin(settings)
    admin.create_topic(TopicSpec(topic))
    admin.close()
    telemetry = make_telemetry(
        writer_factory=impatient_client(client, settings.servers_text),
        topic=topic,
        limits=Limits(buffer_max_events=200_000, buffer_max_bytes=1 << 28),  # for as long as the restart takes
    )
    ended = threading.Event()
    slowest_call_seconds = 0.0

    def app() -> None:
        nonlocal slowest_call_seconds
        number = 0
        while not ended.wait(0.002):
            begun = time.monotonic()
            telemetry.send_telemetry(tool_created(number))
            slowest_call_seconds = max(slowest_call_seconds, time.monotonic() - begun)
            number += 1

    thread = threading.Thread(target=app)
    thread.start()
    try:
        wait_until(lambda: telemetry.stats().sent > 100, timeout_seconds=60.0)
        mortal_kafka.kill()
        wait_until(lambda: levels(caplog)[-1:] == ["WARNING"], timeout_seconds=60.0)
        during = telemetry.stats().accepted
        wait_until(lambda: telemetry.stats().accepted > during + 500, timeout_seconds=60.0)
        mortal_kafka.revive()
        wait_until(lambda: telemetry.stats().sent > during + 500, timeout_seconds=120.0)
    finally:
        ended.set()
        thread.join()
    wait_until(lambda: telemetry.flush(1.0), timeout_seconds=60.0)
    stats = telemetry.stats()
    assert stats.dropped == {}
    assert stats.sent == stats.accepted
    assert sequences(settings, topic) == set(range(stats.accepted))
    # One each for the outage, and for what a busy machine took for one.
    assert levels(caplog) == ["WARNING", "INFO"] * max(1, levels(caplog).count("INFO"))
    assert slowest_call_seconds < 5.0
