"""Groups whose partitions move one by one: cooperative-sticky (KIP-429), and the protocol of Kafka 4 (KIP-848)."""

from __future__ import annotations

import pytest

from flowise_telemetry_transport import OutgoingRecord, TopicPartition
from flowise_telemetry_transport.types import ExpiredOffsets
from tests.transport.backends import COOPERATIVE_BACKENDS, Backend, ClusterBackend, read, settle, until, write
from tests.transport.test_positions import delete_before, filled


@pytest.mark.parametrize("backend", COOPERATIVE_BACKENDS, indirect=True)
def test_only_what_moves_is_given_up_and_the_rest_goes_on(backend: Backend) -> None:
    topic, group = backend.new_topic(), backend.new_group()
    write(backend, [OutgoingRecord(topic, b"k", b"v", partition=n % 4) for n in range(40)])
    first, second = backend.reader(group), backend.reader(group)
    given: list[frozenset[TopicPartition]] = []
    taken: list[frozenset[TopicPartition]] = []

    def give_up(partitions: object) -> None:
        assert isinstance(partitions, frozenset)
        taken.append(partitions)
        first.commit({tp: first.position(tp) for tp in partitions}, timeout_seconds=5)

    first.subscribe([topic], on_assigned=lambda partitions: given.append(frozenset(partitions)), on_revoked=give_up)
    assert len(read(first, count=40)) == 40
    everything = first.assignment()
    second.subscribe([topic])
    assert settle(first, second) == []
    moved, kept = second.assignment(), first.assignment()
    assert (given, taken) == ([everything], [moved])
    assert first.known_positions() == dict.fromkeys(kept, 10)

    write(backend, [OutgoingRecord(topic, b"k", b"v", partition=n) for n in range(4)])
    assert {(record.partition, record.offset) for record in read(first, count=2)} == {(tp.partition, 10) for tp in kept}
    assert {(record.partition, record.offset) for record in read(second, count=2)} == {
        (tp.partition, 10) for tp in moved
    }
    first.seek(min(kept), 3)
    assert len(read(first, count=8)) == 8
    second.close()
    until(lambda: first.assignment() == everything, first)
    assert given[1:] == [moved]


@pytest.mark.parametrize("backend", COOPERATIVE_BACKENDS, indirect=True)
def test_a_position_that_retention_removed_is_stepped_over(backend: ClusterBackend) -> None:
    tp = filled(backend)
    reader = backend.reader(backend.new_group())
    reader.subscribe([tp.topic])
    read(reader, count=100)
    delete_before(backend, tp, 40)
    reader.seek(tp, 10)
    assert [record.offset for record in read(reader, count=60)] == list(range(40, 100))
    assert reader.expired() == [ExpiredOffsets(tp, 10, 40)]
