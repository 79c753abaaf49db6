"""The faults that the in-memory broker can have."""

from __future__ import annotations

import pytest

from flowise_telemetry_transport import (
    BrokerUnavailableError,
    BufferFullError,
    CommitRejectedError,
    DeliveryError,
    DeliveryTimeoutError,
    InMemoryBroker,
    OutgoingRecord,
    TopicPartition,
    UnreadableRecordError,
)
from tests.transport.backends import InFlight

TP = TopicPartition("t", 0)


def filled(count: int) -> InMemoryBroker:
    broker = InMemoryBroker()
    writer = broker.open_writer()
    for number in range(count):
        writer.send(OutgoingRecord("t", b"k", str(number).encode(), partition=0), InFlight())
    assert writer.flush(timeout_seconds=0) == 0
    return broker


def test_while_down_records_wait_and_nothing_opens() -> None:
    broker, deliveries = InMemoryBroker(), InFlight()
    writer = broker.open_writer(buffer_records=2)
    broker.down = True
    for _ in range(2):
        writer.send(OutgoingRecord("t", b"k", b"v"), deliveries)
    with pytest.raises(BufferFullError):
        writer.send(OutgoingRecord("t", b"k", b"v"), deliveries)
    assert writer.flush(timeout_seconds=0.01) == 2
    with pytest.raises(BrokerUnavailableError):
        broker.open_reader()
    broker.down = False
    assert writer.flush(timeout_seconds=1) == 0
    assert len(deliveries.accepted) == 2
    broker.down = True
    writer.send(OutgoingRecord("t", b"k", b"v"), deliveries)
    writer.close(timeout_seconds=0)
    assert [type(error) for error in deliveries.failed] == [DeliveryTimeoutError]


def test_deliveries_fail_on_demand() -> None:
    broker, deliveries = InMemoryBroker(), InFlight()
    broker.fail_next_deliveries(count=2)
    writer = broker.open_writer()
    for _ in range(3):
        writer.send(OutgoingRecord("t", b"k", b"v"), deliveries)
    writer.poll()
    assert [type(error) for error in deliveries.failed] == [DeliveryError, DeliveryError]
    assert len(deliveries.accepted) == 1


def test_faults_can_be_cleared() -> None:
    broker, deliveries = filled(1), InFlight()
    broker.fail_next_deliveries(count=10_000)
    broker.reject_next_commits(10_000)
    broker.clear_faults()
    writer = broker.open_writer()
    writer.send(OutgoingRecord("t", b"k", b"v"), deliveries)
    writer.poll()
    assert (len(deliveries.accepted), deliveries.failed) == (1, [])
    reader = broker.open_reader(group="g")
    reader.assign({TP: 0})
    reader.commit({TP: 1}, timeout_seconds=1)
    assert reader.committed([TP]) == {TP: 1}


def test_commits_are_rejected_on_demand_and_after_an_eviction() -> None:
    broker = filled(3)
    reader = broker.open_reader(group="g")
    reader.subscribe(["t"])
    assert len(reader.poll(timeout_seconds=1, max_records=10)) == 3
    broker.reject_next_commits()
    with pytest.raises(CommitRejectedError):
        reader.commit({TP: 3}, timeout_seconds=1)
    broker.evict(reader)
    with pytest.raises(CommitRejectedError):
        reader.commit({TP: 3}, timeout_seconds=1)
    assert len(reader.poll(timeout_seconds=1, max_records=10)) == 3
    reader.commit({TP: 3}, timeout_seconds=1)
    assert reader.committed([TP]) == {TP: 3}


def test_a_broken_record_holds_its_partition_until_it_is_stepped_over() -> None:
    broker = filled(4)
    broker.break_record(TP, 2)
    reader = broker.open_reader()
    reader.assign({TP: 0})
    assert [record.offset for record in reader.poll(timeout_seconds=1, max_records=10)] == [0, 1]
    for _ in range(2):
        with pytest.raises(UnreadableRecordError) as caught:
            reader.poll(timeout_seconds=1, max_records=10)
        assert (caught.value.topic, caught.value.partition, caught.value.offset) == ("t", 0, 2)
    reader.seek(TP, 3)
    assert [record.offset for record in reader.poll(timeout_seconds=1, max_records=10)] == [3]


def test_gaps_are_passed_and_old_records_go() -> None:
    broker = filled(6)
    broker.remove_records(TP, [2, 5])
    broker.truncate(TP, 1)
    reader = broker.open_reader()
    reader.assign({TP: 0})
    assert reader.beginning_offsets([TP]) == {TP: 1}
    assert [record.offset for record in reader.poll(timeout_seconds=1, max_records=10)] == [1, 3, 4]
    assert reader.position(TP) == 6
