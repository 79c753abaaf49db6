"""Events a second to a real broker: a client alone, our transport over it, and the whole producer."""

from __future__ import annotations

import gc
import os
import tempfile
import time
from dataclasses import dataclass
from typing import Any

from tests.services.kafka import KafkaService

from bench.app_calls import event, settings
from flowise_telemetry import Limits, Telemetry
from flowise_telemetry.encoding.encoder import Encoded, Encoder, new_stream_id
from flowise_telemetry.identity.instance_id import InstanceId
from flowise_telemetry_transport import (
    BufferFullError,
    ClientName,
    Delivery,
    OutgoingRecord,
    TransportError,
    open_writer,
)

__all__ = ["CLIENTS", "Rate", "bare", "ready_made", "transport", "whole"]

CLIENTS: tuple[ClientName, ...] = ("kafka-python", "librdkafka")

_BUFFER_BYTES = 1 << 28  # never the limit of what is measured here
_LINGER_MS = 20
_BATCH_BYTES = 65_536
_POLL_EVERY_EVENTS = 500
_FLUSH_SECONDS = 300.0
_BACKLOG_EVENTS = 10_000  # an app that sends more than leaves is not what is measured
_BURST_EVENTS = 500


@dataclass(frozen=True, slots=True)
class Rate:
    """Until the last acknowledgement. ``cpu_us``: of all threads of this process, for each event."""

    per_second: float
    cpu_us: float


def ready_made(count: int) -> list[Encoded]:
    """The very bytes that the producer sends."""
    encoder, sent = Encoder("3.0.1", InstanceId(b"bench"), new_stream_id()), event()
    now_ms = time.time_ns() // 1_000_000
    return [encoder.encode(sent, number, now_ms) for number in range(count)]


class _Clock:
    def __init__(self) -> None:
        # The records that are ready-made here are not for the collector to look through while something is measured.
        gc.collect()
        gc.freeze()
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def rate(self, count: int) -> Rate:
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        return Rate(count / wall, cpu / count * 1e6)


def bare(kafka: KafkaService, client: ClientName, records: list[Encoded], *, delivery: bool = False) -> Rate:
    """The client alone, with the settings that our transport gives it.

    ``delivery``: with a callback for each record, without which nobody knows whether it arrived.
    """
    topic, servers = kafka.new_topic(), ",".join(kafka.bootstrap_servers)
    arrived = 0

    def count(*_: object) -> None:
        nonlocal arrived
        arrived += 1

    if client == "kafka-python":
        from kafka import KafkaProducer

        slow = KafkaProducer(
            bootstrap_servers=servers,
            acks="all",
            retries=300,
            max_in_flight_requests_per_connection=1,
            linger_ms=_LINGER_MS,
            batch_size=_BATCH_BYTES,
            buffer_memory=_BUFFER_BYTES,
        )
        slow.partitions_for(topic)
        clock = _Clock()
        for record in records:
            future = slow.send(topic, key=record.key, value=record.value)
            if delivery:
                future.add_callback(count)
        slow.flush()
        found = clock.rate(len(records))
        slow.close()
    else:
        from confluent_kafka import Producer

        fast = Producer({
            "bootstrap.servers": servers,
            "enable.idempotence": True,
            "linger.ms": _LINGER_MS,
            "queue.buffering.max.messages": 1_000_000,
        })  # fmt: skip
        # The first record waits for the id of an idempotent producer: not what is measured here.
        fast.produce(topic, b"first")
        fast.flush()
        more: dict[str, Any] = {"on_delivery": count} if delivery else {}
        clock = _Clock()
        for record in records:
            fast.produce(topic, key=record.key, value=record.value, **more)
            fast.poll(0)
        fast.flush()
        found = clock.rate(len(records))
    assert not delivery or arrived == len(records)
    return found


def transport(kafka: KafkaService, client: ClientName, records: list[Encoded]) -> Rate:
    """Our ``RecordWriter`` over the client, each delivery told and counted."""
    topic = kafka.new_topic()
    writer = open_writer(kafka.settings(client=client), buffer_bytes=_BUFFER_BYTES, linger_ms=_LINGER_MS)
    arrived = 0

    def count(_delivery: Delivery | None, error: TransportError | None) -> None:
        nonlocal arrived
        assert error is None, error
        arrived += 1

    writer.send(OutgoingRecord(topic, b"first", b"first"), count)
    writer.flush(timeout_seconds=_FLUSH_SECONDS)
    clock = _Clock()
    for number, record in enumerate(records):
        outgoing = OutgoingRecord(topic, record.key, record.value)
        while True:
            try:
                writer.send(outgoing, count)
            except BufferFullError:
                writer.flush(timeout_seconds=0.05)
            else:
                break
        if number % _POLL_EVERY_EVENTS == 0:
            writer.poll()
    writer.flush(timeout_seconds=_FLUSH_SECONDS)
    found = clock.rate(len(records))
    writer.close(timeout_seconds=10.0)
    assert arrived == len(records) + 1
    return found


def whole(kafka: KafkaService, client: ClientName, count: int) -> Rate:
    """From ``send_telemetry`` to acknowledged: constraints, encoding and bookkeeping too."""
    with tempfile.TemporaryDirectory() as home:
        telemetry = Telemetry(
            app_version="3.0.1",
            bootstrap_servers=",".join(kafka.bootstrap_servers),
            topic=kafka.new_topic(),
            env_file=os.devnull,
            environ=settings(home, FLOWISE_TELEMETRY_CLIENT=client),
            limits=Limits(buffer_max_events=2 * _BACKLOG_EVENTS, buffer_max_bytes=_BUFFER_BYTES),
        )
        sent = event()
        telemetry.send_telemetry(sent)
        telemetry.flush(60.0)
        clock = _Clock()
        for _ in range(0, count, _BURST_EVENTS):
            for _ in range(_BURST_EVENTS):
                telemetry.send_telemetry(sent)
            while telemetry.stats().buffered > _BACKLOG_EVENTS:
                time.sleep(0.001)
        assert telemetry.flush(_FLUSH_SECONDS)
        found = clock.rate(count)
        telemetry.close(timeout_seconds=10.0)
        assert telemetry.stats().dropped == {}, telemetry.stats()
    return found
