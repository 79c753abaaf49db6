"""Positions that the broker does not have: past what retention removed, and never back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from flowise_telemetry_transport import OutgoingRecord, TopicPartition
from flowise_telemetry_transport.types import ExpiredOffsets
from tests.services.kafka import KafkaService
from tests.transport.backends import ClusterBackend, read, settle, until, write

pytestmark = pytest.mark.real_broker


@pytest.fixture(params=["kafka-python", "librdkafka"])
def backend(request: pytest.FixtureRequest, kafka: KafkaService) -> Iterator[ClusterBackend]:
    backend = ClusterBackend(request.param, kafka)
    yield backend
    backend.close()


def filled(backend: ClusterBackend) -> TopicPartition:
    tp = TopicPartition(backend.new_topic(), 0)
    write(backend, [OutgoingRecord(tp.topic, b"k", str(at).encode(), partition=0) for at in range(100)])
    return tp


def delete_before(backend: ClusterBackend, tp: TopicPartition, offset: int) -> None:
    from confluent_kafka import TopicPartition as Place
    from confluent_kafka.admin import AdminClient

    client = AdminClient({"bootstrap.servers": ",".join(backend.service.bootstrap_servers)})
    for done in client.delete_records([Place(tp.topic, tp.partition, offset)]).values():
        done.result(60)


def test_what_retention_removed_is_stepped_over(backend: ClusterBackend) -> None:
    tp = filled(backend)
    delete_before(backend, tp, 40)
    reader = backend.reader()
    reader.assign({tp: 10})
    assert [record.offset for record in read(reader, count=60)] == list(range(40, 100))
    assert (reader.expired(), reader.expired()) == ([ExpiredOffsets(tp, 10, 40)], [])
    assert reader.known_positions() == {tp: 100}


def test_a_log_of_which_nothing_is_left_is_stepped_over(backend: ClusterBackend) -> None:
    tp = filled(backend)
    delete_before(backend, tp, 100)
    reader = backend.reader()
    reader.assign({tp: 10})
    until(lambda: reader.known_positions().get(tp) == 100, reader)
    assert reader.expired() == [ExpiredOffsets(tp, 10, 100)]


def test_a_group_whose_committed_offset_is_gone_goes_on_after_it(backend: ClusterBackend) -> None:
    tp, group = filled(backend), backend.new_group()
    first = backend.reader(group)
    first.subscribe([tp.topic])
    settle(first)
    first.commit({tp: 10}, timeout_seconds=10)
    first.close()
    delete_before(backend, tp, 40)
    second = backend.reader(group)
    second.subscribe([tp.topic])
    assert [record.offset for record in read(second, count=60)] == list(range(40, 100))
    assert second.expired() == [ExpiredOffsets(tp, 10, 40)]


def test_a_group_that_begins_has_lost_nothing(backend: ClusterBackend) -> None:
    tp = filled(backend)
    delete_before(backend, tp, 40)
    reader = backend.reader(backend.new_group())
    reader.subscribe([tp.topic])
    assert [record.offset for record in read(reader, count=60)] == list(range(40, 100))
    assert reader.expired() == []


def test_ends_of_many_partitions_take_one_request(backend: ClusterBackend) -> None:
    """One after the other, each behind a fetch in flight, they took 96 s."""
    topic = backend.service.new_topic(partitions=200)
    write(backend, [OutgoingRecord(topic, b"k", b"v", partition=number) for number in range(200)])
    reader = backend.reader()
    partitions = reader.partitions_of(topic)
    reader.assign(dict.fromkeys(partitions, 0))
    read(reader, count=200, max_records=500)
    until(lambda: len(reader.known_positions()) == 200, reader)
    begun = time.monotonic()
    assert set(reader.end_offsets(partitions).values()) == set(reader.high_watermarks(partitions).values()) == {1}
    assert set(reader.beginning_offsets(partitions).values()) == {0}
    assert time.monotonic() - begun < 10


def test_an_offset_out_of_a_damaged_batch_does_not_take_the_position_back(kafka: KafkaService) -> None:
    """librdkafka takes bytes of a damaged batch for the next offset and asks the broker for it."""
    backend = ClusterBackend("librdkafka", kafka)
    try:
        tp = filled(backend)
        reader: Any = backend.reader()
        reader.assign({tp: 30})
        records = reader.poll(timeout_seconds=10, max_records=20)
        reader._lookup.seek(tp, 92_369_362_235_701)
        position = reader.position(tp)
        records += until(lambda: reader.position(tp) >= 100, reader)
        offsets = [record.offset for record in records]
        assert min(offsets[position - 30 :], default=position) == position
        assert sorted(set(offsets)) == list(range(30, 100))
    finally:
        backend.close()
