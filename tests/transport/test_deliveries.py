"""Delivery callbacks: each record's own is called, once, on every client and broker."""

from __future__ import annotations

import threading

from flowise_telemetry_transport import OutgoingRecord, TopicPartition
from tests.transport.backends import PATIENCE_SECONDS, Backend, InFlight


def test_records_of_one_key_have_callbacks_of_their_own(backend: Backend) -> None:
    topic, writer = backend.new_topic(), backend.writer()
    called = [InFlight() for _ in range(30)]
    for number, deliveries in enumerate(called):
        key = None if number % 3 == 0 else b"same"
        writer.send(OutgoingRecord(topic, key, str(number).encode(), partition=0), deliveries)
    assert writer.flush(timeout_seconds=PATIENCE_SECONDS) == 0
    assert [[delivery.offset for delivery in deliveries.accepted] for deliveries in called] == [[n] for n in range(30)]
    assert not any(deliveries.failed for deliveries in called)


def test_a_key_may_be_sent_again_when_its_record_was_delivered(backend: Backend) -> None:
    topic, writer = backend.new_topic(), backend.writer()
    for offset in range(3):
        deliveries = InFlight()
        writer.send(OutgoingRecord(topic, b"again", b"v", partition=1), deliveries)
        assert writer.flush(timeout_seconds=PATIENCE_SECONDS) == 0
        assert [delivery.offset for delivery in deliveries.accepted] == [offset]


def test_many_threads_send_and_every_record_is_reported(writing_backend: Backend) -> None:
    topic, writer = writing_backend.new_topic(), writing_backend.writer()
    called = [InFlight() for _ in range(4)]

    def work(number: int) -> None:
        for count in range(100):
            writer.send(OutgoingRecord(topic, f"key-{count}".encode(), f"{number}".encode()), called[number])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert writer.flush(timeout_seconds=PATIENCE_SECONDS) == 0
    assert [len(deliveries.accepted) for deliveries in called] == [100] * 4
    reader = writing_backend.reader()
    ends = reader.end_offsets(reader.partitions_of(topic))
    assert sum(ends.values()) == 400
    assert set(ends) == {TopicPartition(topic, number) for number in range(4)}
