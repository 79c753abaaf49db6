"""What was met in the field, on a real broker with each client: records that would stop a consumer, or vanish."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import logging
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flowise_telemetry_consumer import open_dead_letter_writer, redrive
from flowise_telemetry_consumer.dead_letters.headers import decode
from flowise_telemetry_consumer.dead_letters.stored import StoredDeadLetter
from flowise_telemetry_consumer.replay import ReplayRequest, TopicSink, copy_topic
from flowise_telemetry_consumer.sinks.kafka_topic import open_topic_writer
from flowise_telemetry_consumer.sinks.record_times import RecordTimes
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport import open_admin, open_reader
from tests.consumer.service.running import Service, wait_until
from tests.consumer.world import value_of
from tests.services.kafka import KafkaService

pytestmark = pytest.mark.real_broker

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "flowise_telemetry")


Start = Callable[..., Service]


@pytest.fixture(params=["kafka-python", "librdkafka"])
def start(request: pytest.FixtureRequest, kafka: KafkaService, tmp_path: Path) -> Iterator[Start]:
    """Create a topic and a dead-letter topic, each with its own settings."""
    made: list[Service] = []

    def start(topic: dict[str, Any], dead_letters: dict[str, Any] | None = None) -> Service:
        topics = kafka.new_topic(**topic), kafka.new_topic(**(dead_letters or {}))
        url = f"sqlite:///{tmp_path / 'events.db'}"
        made.append(Service(kafka, url, topic=topics[0], dlq=topics[1], client=request.param))
        return made[-1]

    yield start
    for service in made:
        service.sink.close()


def produce(it: Service, value: bytes, **more: Any) -> None:
    from confluent_kafka import Producer

    servers = ",".join(it.kafka.bootstrap_servers)
    settings = {"bootstrap.servers": servers, "compression.type": "gzip", "message.max.bytes": 100_000_000}
    producer = Producer(settings)
    failures: list[object] = []
    producer.produce(it.topic, value, b"bad", on_delivery=lambda error, _: failures.append(error), **more)
    assert producer.flush(60) == 0
    assert failures == [None]


def consumed(it: Service, count: int) -> list[StoredDeadLetter]:
    with it.consumer() as counters:
        wait_until(lambda: counters.consumed >= count, "all consumed")
    return [decode(record) for record in it.dead_records()]


@pytest.mark.parametrize("age_ms", [-30 * DAY_MS, 400 * DAY_MS], ids=["of the future", "of last year"])
def test_a_dead_letter_is_dated_when_it_is_filed(start: Start, age_ms: int) -> None:
    it = start({"message_timestamp_after_max_ms": str(9_000 * DAY_MS), "retention_ms": "-1"})
    now_ms = time.time_ns() // 1_000_000
    it.send(range(5))
    produce(it, b"what is this", timestamp=now_ms - age_ms)
    it.send(range(5, 10))
    (letter,) = consumed(it, 11)
    assert letter.source_timestamp_ms == now_ms - age_ms
    assert now_ms <= letter.record.timestamp_ms < now_ms + HOUR_MS
    assert set(it.event_ids()) == it.accepted


@pytest.mark.parametrize("megabytes", [17, 68], ids=["fits compressed", "fits no writer"])
def test_a_record_of_many_zeros_is_no_end(start: Start, megabytes: int) -> None:
    zeros = bytes(megabytes * 1_000_000)
    assert len(gzip.compress(zeros)) < 100_000
    it = start({})
    it.send(range(5))
    produce(it, zeros)
    it.send(range(5, 10))
    (letter,) = consumed(it, 11)
    assert set(it.event_ids()) == it.accepted
    if megabytes == 17:
        assert (letter.record.value == zeros, letter.cut) == (True, None)
    else:
        assert (letter.record.value, letter.cut, letter.value_bytes) == (None, "value", len(zeros))
        assert letter.value_sha256 == hashlib.sha256(zeros).hexdigest()


def test_what_does_not_fit_the_topic_is_filed_without_its_value(start: Start) -> None:
    """Those that fit keep their bytes, also where they were sent together with one that does not."""
    it = start({"max_message_bytes": "4194304"}, {"max_message_bytes": "20000"})
    values = [random.Random(at).randbytes(60_000 if at == 7 else 3_000) for at in range(20)]
    for value in values:
        produce(it, value)
    letters = consumed(it, 20)
    assert sorted(letter.record.value or b"" for letter in letters) == sorted([b"", *values[:7], *values[8:]])
    (cut,) = (letter for letter in letters if letter.cut)
    assert (cut.value_bytes, cut.value_sha256) == (60_000, hashlib.sha256(values[7]).hexdigest())
    assert (cut.record.key, cut.source_topic, cut.reason) == (b"bad", it.topic, "unknown_framing")


def test_a_redrive_fetches_from_the_source_what_was_too_large(start: Start) -> None:
    it = start({"max_message_bytes": "4194304"}, {"max_message_bytes": "20000"})
    value = random.Random(1).randbytes(60_000)
    produce(it, value)
    (cut,) = consumed(it, 1)
    assert cut.lacks_bytes
    settings = it.kafka.settings(client=it.client)
    with contextlib.ExitStack() as opened:
        reader, writer = open_reader(settings), open_dead_letter_writer(settings)
        opened.callback(reader.close)
        opened.callback(writer.close, timeout_seconds=5)
        result = redrive(
            reader, it.sink, writer, catalog(), it.dlq, open_source=lambda: open_reader(settings), new_sink=True
        )
    assert (result.fetched, result.still_bad, result.adds_up) == (1, {"unknown_framing": 1}, True)
    again = decode(it.dead_records()[-1])
    assert (again.redrive_count, again.value_bytes, again.record.value) == (1, len(value), None)


def test_a_copy_takes_what_its_source_took(start: Start) -> None:
    it = start({"message_timestamp_after_max_ms": str(9_000 * DAY_MS), "retention_ms": "-1"})
    now_ms = time.time_ns() // 1_000_000
    produce(it, bytes(3_000_000))
    produce(it, value_of(1), timestamp=now_ms + 30 * DAY_MS)
    produce(it, value_of(2), timestamp=now_ms - 400 * DAY_MS)
    settings = it.kafka.settings(client=it.client)
    admin, reader, writer = open_admin(settings), open_reader(settings), open_topic_writer(settings)
    try:
        times = RecordTimes.from_settings(admin.settings_of(it.dlq))
        assert "keeps records for 7.0 days" in str(times.warning())
        target = TopicSink(writer, it.dlq, catalog(), times=times)
        result = copy_topic(reader, target, catalog(), ReplayRequest(topic=it.topic))
    finally:
        admin.close()
        reader.close()
        writer.close(timeout_seconds=5)
    assert (result.complete, result.written.total()) == (True, 3)
    assert (times.redated, times.expiring) == (1, 1)
    assert {bytes(3_000_000), value_of(1)} <= {record.value for record in it.dead_records()}
