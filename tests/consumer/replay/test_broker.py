"""Replays of what only a real broker has: markers of transactions, aborted records, deleted offsets, time indexes."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from flowise_telemetry_consumer import Bound, ReplayRequest, ReplayResult, replay
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport import RecordReader, TopicPartition, open_reader
from tests.consumer.service.running import wait_until
from tests.consumer.world import MemorySink, event_id, value_of
from tests.services.kafka import KafkaService

pytestmark = pytest.mark.real_broker

START_MS = 1_700_000_000_000


class Log:
    """A topic and the events that were sent to it, numbered from 0."""

    def __init__(self, kafka: KafkaService, **settings: str) -> None:
        self.topic = kafka.new_topic(partitions=4, retention_ms="-1", **settings)  # some of the records are old
        self.servers = ",".join(kafka.bootstrap_servers)
        self.sent = 0

    def send(
        self, count: int, *, partition: int, producer: Any = None, times_ms: Iterator[int] | None = None
    ) -> list[str]:
        from confluent_kafka import Producer

        producer = producer or Producer({"bootstrap.servers": self.servers})
        ids = []
        for _ in range(count):
            ids.append(event_id(self.sent))
            timestamp = {} if times_ms is None else {"timestamp": next(times_ms)}
            producer.produce(self.topic, value_of(self.sent), key=ids[-1], partition=partition, **timestamp)
            self.sent += 1
        assert producer.flush(60) == 0
        return ids

    def send_in_transaction(self, count: int, *, partition: int, commit: bool) -> list[str]:
        from confluent_kafka import Producer

        end = self._stable_end(partition)
        producer = Producer({"bootstrap.servers": self.servers, "transactional.id": uuid.uuid4().hex})
        producer.init_transactions(60)
        producer.begin_transaction()
        ids = self.send(count, partition=partition, producer=producer)
        producer.commit_transaction(60) if commit else producer.abort_transaction(60)
        # The coordinator answers before the marker is in the log.
        wait_until(lambda: self._stable_end(partition) == end + count + 1, "the marker is in the log")
        return ids

    def _stable_end(self, partition: int) -> int:
        """The offset before which no transaction is open: what a reader of committed records takes for the end."""
        from confluent_kafka import Consumer
        from confluent_kafka import TopicPartition as Place

        settings = {"bootstrap.servers": self.servers, "group.id": "none", "isolation.level": "read_committed"}
        consumer = Consumer(settings)
        try:
            end: int = consumer.get_watermark_offsets(Place(self.topic, partition), timeout=60)[1]
            return end
        finally:
            consumer.close()

    def delete_before(self, offsets: dict[int, int]) -> None:
        from confluent_kafka import TopicPartition as Place
        from confluent_kafka.admin import AdminClient

        places = [Place(self.topic, partition, offset) for partition, offset in offsets.items()]
        client = AdminClient({"bootstrap.servers": self.servers})  # answers while it lives
        for done in client.delete_records(places).values():
            done.result(60)


@pytest.fixture(params=["kafka-python", "librdkafka"])
def reader(request: pytest.FixtureRequest, kafka: KafkaService) -> Iterator[RecordReader]:
    reader = open_reader(kafka.settings(client=request.param))
    yield reader
    reader.close(timeout_seconds=5)


@pytest.fixture
def log(kafka: KafkaService) -> Log:
    return Log(kafka)


def ran(reader: RecordReader, log: Log, sink: MemorySink, begin: Bound | None = None) -> ReplayResult:
    result = replay(reader, sink, catalog(), ReplayRequest(topic=log.topic, begin=begin))
    assert result.complete
    assert result.discrepancies() == []
    return result


def test_it_ends_on_markers_deleted_offsets_and_empty_partitions(reader: RecordReader, log: Log) -> None:
    sink = MemorySink()
    expected = set(log.send(3, partition=0))
    for _ in range(2):
        expected |= set(log.send_in_transaction(2, partition=0, commit=True))
    expected |= set(log.send(10, partition=1)[4:])
    log.send(5, partition=3)
    log.delete_before({1: 4, 3: 5})
    result = ran(reader, log, sink)
    assert sink.event_ids() == expected
    parts = {tp.partition: part for tp, part in result.partitions.items()}
    # Two markers, the second of which is the last thing in the log.
    assert (parts[0].end, parts[0].written, parts[0].gaps) == (9, 7, 2)
    assert (parts[1].start, parts[1].written) == (4, 6)
    assert (parts[2].offsets_read, parts[3].offsets_read, parts[3].start) == (0, 0, 5)
    assert result.missing == {}
    again = ran(reader, log, sink, Bound("0", offset=0))
    assert again.missing == {TopicPartition(log.topic, 1): [(0, 4)], TopicPartition(log.topic, 3): [(0, 5)]}


def test_what_was_aborted_is_not_written(kafka: KafkaService, log: Log) -> None:
    reader, sink = open_reader(kafka.settings(client="librdkafka")), MemorySink()  # kafka-python reads uncommitted
    expected = set(log.send(3, partition=0))
    log.send_in_transaction(4, partition=0, commit=False)
    result = ran(reader, log, sink)
    reader.close(timeout_seconds=5)
    assert sink.event_ids() == expected
    assert result.partitions[TopicPartition(log.topic, 0)].gaps == 5


def test_a_time_is_found_without_reading_what_is_before(reader: RecordReader, log: Log) -> None:
    sink = MemorySink()
    times = iter([START_MS + second * 1000 for second in (*range(50), 20, *range(50, 100))])
    ids = log.send(101, partition=0, times_ms=times)
    result = ran(reader, log, sink, Bound.parse("2023-11-14T22:14:10Z", now_ms=0, argument="begin"))
    assert sink.event_ids() == set(ids[51:])
    part = result.partitions[TopicPartition(log.topic, 0)]
    assert (part.start, part.written, part.filtered) == (51, 50, 0)
    sink = MemorySink()
    result = ran(reader, log, sink, Bound.parse("2023-11-14T22:14:00Z", now_ms=0, argument="begin"))
    assert sink.event_ids() == set(ids[40:50]) | set(ids[51:])
    assert result.filtered == 1


def test_it_ends_on_a_compacted_topic(kafka: KafkaService) -> None:
    log = Log(
        kafka, cleanup_policy="compact", segment_ms="200", min_cleanable_dirty_ratio="0.01", max_compaction_lag_ms="100"
    )
    reader = open_reader(kafka.settings(client="librdkafka"))
    ids: set[str] = set()

    def compacts() -> bool:
        # The same keys again and again: what is compacted away are the older records of each.
        log.sent = 0
        ids.update(log.send(300, partition=0))
        sink = MemorySink()
        result = ran(reader, log, sink)
        assert sink.event_ids() == ids
        assert result.missing == {}
        return result.partitions[TopicPartition(log.topic, 0)].gaps > 0

    wait_until(compacts, "the broker compacts")
    reader.close(timeout_seconds=5)
