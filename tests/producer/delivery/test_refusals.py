"""What a broker refuses that is not the event's end: a batch for its size, a record for its time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from flowise_telemetry import Telemetry
from flowise_telemetry_schemas import catalog, codec
from flowise_telemetry_transport import InMemoryBroker, Record, TopicSpec, open_admin, open_reader
from flowise_telemetry_transport.errors import DeliveryTimeoutError, TimestampRefusedError
from flowise_telemetry_transport.kafka_python.writer import KafkaPythonWriter
from flowise_telemetry_transport.librdkafka.writer import LibrdkafkaWriter
from flowise_telemetry_transport.types import OnDelivery, OutgoingRecord
from tests.producer.conftest import Clock, MakeTelemetry
from tests.producer.samples import is_control, prediction_sent, stored, stored_records, tool_created, wait_until
from tests.services.kafka import KafkaService

DAY_MS = 86_400_000
CLIENTS = ("kafka-python", "librdkafka")
Sent = Callable[..., tuple[list[Record], Telemetry]]


@pytest.fixture
def sent_to(kafka: KafkaService, environ: dict[str, str]) -> Sent:
    """Send events to a topic of these settings, and return what it holds."""

    def sent(client: str, events: list[Any], **configs: str) -> tuple[list[Record], Telemetry]:
        topic = kafka.new_topic() + "-strict"
        admin = open_admin(kafka.settings())
        named = tuple((name.replace("_", "."), value) for name, value in configs.items())
        admin.create_topic(TopicSpec(topic, 2, configs=named))
        admin.close()
        environ["FLOWISE_TELEMETRY_CLIENT"] = client
        servers = ",".join(kafka.bootstrap_servers)
        with Telemetry(app_version="3.0.1", bootstrap_servers=servers, topic=topic, environ=environ) as telemetry:
            for event in events:
                telemetry.send_telemetry(event)
            assert telemetry.flush(60.0)
        reader = open_reader(kafka.settings())
        partitions = reader.partitions_of(topic)
        ends = reader.end_offsets(partitions)
        reader.assign(dict.fromkeys(partitions, 0))
        found: list[Record] = []
        while any(reader.position(partition) < end for partition, end in ends.items()):
            found += reader.poll(timeout_seconds=10.0, max_records=5_000)
        reader.close()
        return [record for record in found if not is_control(record)], telemetry

    return sent


@pytest.mark.real_broker
@pytest.mark.parametrize("client", CLIENTS)
def test_a_batch_that_the_topic_refuses_is_sent_in_smaller_ones(client: str, sent_to: Sent) -> None:
    events: list[Any] = [tool_created(number) for number in range(300)]
    events.insert(150, prediction_sent(40))  # over the limit by itself
    found, telemetry = sent_to(client, events, max_message_bytes="1000")
    stats = telemetry.stats()
    assert (stats.sent, stats.dropped, stats.accepted) == (300, {"too_large": 1}, 301)
    sequences = sorted(codec.decode(record.value, catalog())[1]["sequence"] for record in found)
    assert sequences == [number for number in range(301) if number != 150], "each once"


@pytest.mark.real_broker
@pytest.mark.parametrize("client", CLIENTS)
def test_where_the_clock_is_wrong_events_arrive_without_a_time_of_kafkas(
    client: str, sent_to: Sent, caplog: pytest.LogCaptureFixture
) -> None:
    # By then every record is older than the broker allows, as all are on a machine whose clock is behind.
    found, telemetry = sent_to(client, [tool_created(n) for n in range(200)], message_timestamp_before_max_ms="1")
    assert (telemetry.stats().sent, telemetry.stats().dropped) == (200, {})
    assert len(found) == len({record.key for record in found}) == 200
    assert -1 in {record.timestamp_ms for record in found}
    warnings = [line.getMessage() for line in caplog.records if line.levelno >= logging.WARNING]
    assert warnings == ["telemetry: the broker refuses the time of this machine's clock; events are sent without it"]


@pytest.fixture
def clients_read_that_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Date each record before it is sent: a client reads the machine's clock, or bound Python's at its import."""
    for writer_class in (KafkaPythonWriter, LibrdkafkaWriter):
        monkeypatch.setattr(writer_class, "send", _dating(writer_class.send))


def _dating(send: Callable[..., None]) -> Callable[..., None]:
    def dated(writer: object, record: OutgoingRecord, on_delivery: OnDelivery) -> None:
        if record.timestamp_ms is None:
            record = replace(record, timestamp_ms=time.time_ns() // 1_000_000)
        send(writer, record, on_delivery)

    return dated


@pytest.mark.real_broker
@pytest.mark.usefixtures("clients_read_that_clock")
@pytest.mark.parametrize("client", CLIENTS)
def test_a_machine_whose_clock_is_a_month_ahead_loses_nothing(
    client: str, sent_to: Sent, set_clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    ahead_ms = time.time_ns() // 1_000_000 + 30 * DAY_MS
    set_clock(ahead_ms)  # the broker's default allows an hour (message.timestamp.after.max.ms)
    found, telemetry = sent_to(client, [tool_created(n) for n in range(200)])
    assert (telemetry.stats().sent, telemetry.stats().dropped) == (200, {})
    decoded = [codec.decode(record.value, catalog())[1] for record in found]
    assert sorted(record["sequence"] for record in decoded) == list(range(200)), "each once"
    assert {record.timestamp_ms for record in found} == {-1}
    assert all(record["occurredAt"] >= ahead_ms for record in decoded)  # the event's own time is left as it is
    warnings = [line.getMessage() for line in caplog.records if line.levelno >= logging.WARNING]
    assert warnings == ["telemetry: the broker refuses the time of this machine's clock; events are sent without it"]


def test_a_record_that_is_refused_without_a_time_as_well_is_given_up(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker
) -> None:
    broker.fail_next_deliveries(TimestampRefusedError("the time is out of range"), count=2)
    telemetry = make_telemetry()
    telemetry.send_telemetry(tool_created(0))
    assert telemetry.flush(10.0)
    telemetry.send_telemetry(tool_created(1))
    assert telemetry.flush(10.0)
    assert (telemetry.stats().sent, telemetry.stats().dropped) == (1, {"rejected": 1})
    assert stored_records(broker)[0].timestamp_ms == -1


class Batching:
    """A client that answers the first three records, then all that it has as one batch, which has one fate."""

    def __init__(self, broker: InMemoryBroker) -> None:
        self._writer = broker.open_writer()
        self._held: list[tuple[OutgoingRecord, OnDelivery]] = []
        self._next = 3

    def send(self, record: OutgoingRecord, on_delivery: OnDelivery) -> None:
        self._held.append((record, on_delivery))

    def poll(self) -> None:
        batch, self._held = self._held[: self._next], self._held[self._next :]
        self._next = 1_000
        is_refused = any(record.timestamp_ms != -1 for record, _ in batch)
        for record, on_delivery in batch:
            if is_refused:
                on_delivery(None, TimestampRefusedError("the time is out of range"))
            else:
                self._writer.send(record, on_delivery)
        self._writer.poll()

    def flush(self, *, timeout_seconds: float) -> int:
        self.poll()
        return self._writer.flush(timeout_seconds=timeout_seconds)

    def close(self, *, timeout_seconds: float) -> None:
        self._writer.close(timeout_seconds=timeout_seconds)


def test_a_record_without_a_time_shares_no_batch_with_one_that_is_refused_for_its_time(
    make_telemetry: MakeTelemetry,
) -> None:
    broker = InMemoryBroker()
    telemetry = make_telemetry(writer_factory=lambda: Batching(broker))
    for number in range(20):
        telemetry.send_telemetry(tool_created(number))
    wait_until(lambda: telemetry.flush(0.1))
    assert (telemetry.stats().sent, telemetry.stats().dropped) == (20, {})
    assert len(stored(broker)) == 20


class Reordering:
    """A client that gives up what it has, a hundred at a time, until the broker is back."""

    def __init__(self, broker: InMemoryBroker) -> None:
        self._broker = broker
        self._writer = broker.open_writer()
        self.held: list[tuple[OutgoingRecord, OnDelivery]] = []
        self.away = True
        self.silent = True
        self.given_up = 0

    def send(self, record: OutgoingRecord, on_delivery: OnDelivery) -> None:
        if self.away:
            self.held.append((record, on_delivery))
        else:
            self._writer.send(record, on_delivery)

    def poll(self) -> None:
        if self.silent:
            return
        held, self.held = self.held[:100], self.held[100:]
        self.given_up += len(held)
        for _, on_delivery in held:
            on_delivery(None, DeliveryTimeoutError("away"))
        self._writer.poll()

    def flush(self, *, timeout_seconds: float) -> int:
        return self._writer.flush(timeout_seconds=timeout_seconds)

    def close(self, *, timeout_seconds: float) -> None:
        self._writer.close(timeout_seconds=timeout_seconds)


def test_after_an_outage_the_oldest_leave_first(make_telemetry: MakeTelemetry) -> None:
    broker = InMemoryBroker(default_partitions=1)
    client = Reordering(broker)
    telemetry = make_telemetry(writer_factory=lambda: client)
    for number in range(1_000):
        telemetry.send_telemetry(tool_created(number))
    wait_until(lambda: len(client.held) >= 200)  # else a slow machine fails one hundred, and tries one at a time
    client.silent = False
    wait_until(lambda: client.given_up >= 200 and not client.held)
    client.away = False
    wait_until(lambda: telemetry.flush(0.1))
    arrived = [codec.decode(record.value, catalog())[1]["sequence"] for record in stored_records(broker)]
    assert arrived == sorted(arrived)
    assert len(stored(broker)) == 1_000
