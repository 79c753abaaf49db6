"""The contract of the ports, on every client and broker."""

from __future__ import annotations

import time
from collections import Counter, defaultdict

import pytest

from flowise_telemetry_schemas.errors import ConfigurationError
from flowise_telemetry_transport import (
    InMemoryBroker,
    MessageTooLargeError,
    OutgoingRecord,
    TopicExistsError,
    TopicPartition,
    TopicSpec,
    TransportError,
    UnknownTopicError,
    partition_for,
)
from tests.transport.backends import Backend, InFlight, read, write


def numbered(topic: str, count: int, *, partition: int | None = 0) -> list[OutgoingRecord]:
    return [OutgoingRecord(topic, b"key", str(number).encode(), partition=partition) for number in range(count)]


def test_records_arrive_in_the_order_sent_with_their_places(backend: Backend) -> None:
    topic = backend.new_topic()
    landed = write(backend, numbered(topic, 200))
    assert [delivery.offset for delivery in landed] == list(range(200))
    reader = backend.reader()
    reader.assign({TopicPartition(topic, 0): 0})
    records = read(reader, count=200)
    assert [(record.offset, record.value) for record in records] == [(n, str(n).encode()) for n in range(200)]
    assert {record.topic_partition for record in records} == {TopicPartition(topic, 0)}


def test_poll_returns_at_most_what_was_asked_for_and_nothing_is_lost_between(backend: Backend) -> None:
    topic = backend.new_topic()
    write(backend, numbered(topic, 50))
    reader = backend.reader()
    reader.assign({TopicPartition(topic, 0): 0})
    offsets: list[int] = []
    while len(offsets) < 50:
        records = reader.poll(timeout_seconds=5, max_records=7)
        assert 0 < len(records) <= 7  # nothing within five seconds is too long
        offsets += [record.offset for record in records]
    assert offsets == list(range(50))


def test_a_key_decides_the_partition_as_in_every_kafka_client(writing_backend: Backend) -> None:
    topic = writing_backend.new_topic()
    keys = [f"event-{number}".encode() for number in range(60)]
    write(writing_backend, [OutgoingRecord(topic, key, b"") for key in keys])
    reader = writing_backend.reader()
    reader.assign(dict.fromkeys(reader.partitions_of(topic), 0))
    found = {record.key: record.partition for record in read(reader, count=len(keys))}
    assert found == {key: partition_for(key, 4) for key in keys}
    assert len(set(found.values())) == 4


def test_headers_nulls_and_timestamps_are_kept(writing_backend: Backend) -> None:
    topic = writing_backend.new_topic()
    headers: tuple[tuple[str, bytes | None], ...] = (("a", b"1"), ("a", b"\xff\x00"), ("empty", b""), ("ünï", b"2"))
    sent = [
        OutgoingRecord(topic, b"k", b"v", headers, timestamp_ms=1_700_000_000_123),
        OutgoingRecord(topic, b"k", None),
        OutgoingRecord(topic, None, b"v"),
        OutgoingRecord(topic, None, None),
        OutgoingRecord(topic, b"", b""),
    ]
    before = time.time_ns() // 1_000_000
    write(writing_backend, sent)
    reader = writing_backend.reader()
    reader.assign(dict.fromkeys(reader.partitions_of(topic), 0))
    records = read(reader, count=len(sent))
    assert Counter((record.key, record.value, record.headers) for record in records) == Counter(
        (record.key, record.value, record.headers) for record in sent
    )
    times = [record.timestamp_ms for record in records if not record.headers]
    assert [record.timestamp_ms for record in records if record.headers] == [1_700_000_000_123]
    assert all(abs(time_ms - before) < 60_000 for time_ms in times)


def test_a_null_header_value_is_kept_where_the_client_can_write_one(backend: Backend) -> None:
    topic = backend.new_topic()
    write(backend, [OutgoingRecord(topic, b"k", b"v", (("null", None), ("b", b"1")), partition=0)])
    reader = backend.reader()
    reader.assign({TopicPartition(topic, 0): 0})
    expected = None if backend.keeps_null_headers else b""
    assert read(reader, count=1)[0].headers == (("null", expected), ("b", b"1"))


def test_assign_starts_each_partition_at_the_offset_given(backend: Backend) -> None:
    topic = backend.new_topic()
    write(backend, [record for partition in (0, 1, 2) for record in numbered(topic, 10, partition=partition)])
    reader = backend.reader()
    starts = {TopicPartition(topic, 0): 7, TopicPartition(topic, 2): 0}
    reader.assign(starts)
    assert reader.assignment() == starts.keys()
    assert {tp: reader.position(tp) for tp in starts} == starts
    offsets: dict[int, list[int]] = defaultdict(list)
    for record in read(reader, count=13):
        offsets[record.partition].append(record.offset)
    assert offsets == {0: [7, 8, 9], 2: list(range(10))}
    assert {tp: reader.position(tp) for tp in starts} == dict.fromkeys(starts, 10)


def test_seek_goes_back_and_forth(backend: Backend) -> None:
    topic, tp = (name := backend.new_topic()), TopicPartition(name, 0)
    write(backend, numbered(topic, 10))
    reader = backend.reader()
    reader.assign({tp: 0})
    read(reader, count=10)
    reader.seek(tp, 2)
    assert reader.position(tp) == 2
    assert read(reader, count=1, max_records=1)[0].offset == 2
    reader.seek(tp, 8)
    assert [record.offset for record in read(reader, count=2)] == [8, 9]


@pytest.mark.slow
def test_pause_and_resume_lose_nothing(backend: Backend) -> None:
    topic = backend.new_topic()
    paused, other = TopicPartition(topic, 0), TopicPartition(topic, 1)
    write(backend, [*numbered(topic, 10), *numbered(topic, 10, partition=1)])
    reader = backend.reader()
    reader.assign({paused: 0})
    got = read(reader, count=3, max_records=3)
    reader.pause([paused])
    for _ in range(3):
        assert reader.poll(timeout_seconds=0.3, max_records=100) == []
    assert reader.position(paused) == 3
    reader.resume([paused])
    got += read(reader, count=7)
    assert [record.offset for record in got] == list(range(10))
    # Paused from the start, next to one that is read.
    reader.assign({paused: 0, other: 0})
    reader.pause([paused])
    assert {record.partition for record in read(reader, count=10)} == {1}
    reader.resume([paused])
    assert [(record.partition, record.offset) for record in read(reader, count=10)] == [(0, n) for n in range(10)]


def test_a_seek_while_paused_holds_after_resume(backend: Backend) -> None:
    topic, tp = (name := backend.new_topic()), TopicPartition(name, 0)
    write(backend, numbered(topic, 10))
    reader = backend.reader()
    reader.assign({tp: 0})
    read(reader, count=5, max_records=5)
    reader.pause([tp])
    reader.seek(tp, 2)
    assert reader.poll(timeout_seconds=0.3, max_records=100) == []
    reader.resume([tp])
    assert [record.offset for record in read(reader, count=8)] == list(range(2, 10))


def test_beginning_and_end_offsets(backend: Backend) -> None:
    topic = backend.new_topic()
    write(backend, [*numbered(topic, 3), *numbered(topic, 1, partition=2)])
    reader = backend.reader()
    partitions = reader.partitions_of(topic)
    assert partitions == tuple(TopicPartition(topic, number) for number in range(4))
    assert list(reader.beginning_offsets(partitions).values()) == [0, 0, 0, 0]
    assert list(reader.end_offsets(partitions).values()) == [3, 0, 1, 0]


def test_positions_known_without_a_request(backend: Backend) -> None:
    topic = backend.new_topic()
    places = write(backend, [OutgoingRecord(topic, b"k", b"v")] * 3)
    tp = TopicPartition(topic, places[0].partition)
    reader = backend.reader()
    reader.assign({tp: 1})
    assert reader.known_positions() == {tp: 1}
    read(reader, count=2)
    assert (reader.known_positions(), reader.expired()) == ({tp: 3}, [])
    assert reader.high_watermarks([tp]) == reader.end_offsets([tp]) == {tp: 3}


def test_an_empty_poll_takes_its_time_and_returns(backend: Backend) -> None:
    topic = backend.new_topic()
    reader = backend.reader()
    reader.assign({TopicPartition(topic, 0): 0})
    began = time.monotonic()
    assert reader.poll(timeout_seconds=0.5, max_records=10) == []
    assert 0.4 <= time.monotonic() - began < 10


def test_an_unknown_topic_is_named(backend: Backend) -> None:
    reader = backend.reader()
    with pytest.raises(UnknownTopicError, match="no-such-topic") as caught:
        reader.partitions_of("no-such-topic")
    assert caught.value.topic == "no-such-topic"
    assert not caught.value.retryable
    with pytest.raises(UnknownTopicError):
        reader.end_offsets([TopicPartition("no-such-topic", 0)])


def test_a_record_over_the_limit_is_refused_and_the_others_go(writing_backend: Backend) -> None:
    topic = writing_backend.new_topic()
    writer, deliveries = writing_backend.writer(max_record_bytes=10_000), InFlight()
    with pytest.raises(MessageTooLargeError) as caught:
        writer.send(OutgoingRecord(topic, b"k", bytes(10_001)), deliveries)
    assert caught.value.topic == topic
    writer.send(OutgoingRecord(topic, b"k", bytes(9_000)), deliveries)
    assert writer.flush(timeout_seconds=20) == 0
    assert (len(deliveries.accepted), deliveries.failed) == (1, [])


@pytest.mark.usefixtures("topic_creation")
def test_a_record_over_the_topic_s_limit_fails_in_its_callback(backend: Backend) -> None:
    topic = backend.new_topic(max_message_bytes="5000")
    writer, deliveries = backend.writer(), InFlight()
    writer.send(OutgoingRecord(topic, b"k", bytes(6_000)), deliveries)
    assert writer.flush(timeout_seconds=20) == 0
    assert [type(error) for error in deliveries.failed] == [MessageTooLargeError]
    assert not deliveries.failed[0].retryable


@pytest.mark.usefixtures("topic_creation")
def test_large_records_are_written_and_read_where_the_limits_are_raised(backend: Backend) -> None:
    topic, tp = (name := backend.new_topic(max_message_bytes="4000000")), TopicPartition(name, 0)
    writer, deliveries = backend.writer(max_record_bytes=4_000_000), InFlight()
    for _ in range(2):
        writer.send(OutgoingRecord(topic, b"k", bytes(3_000_000), partition=0), deliveries)
    assert writer.flush(timeout_seconds=20) == 0
    assert deliveries.failed == []
    reader = backend.reader()
    reader.assign({tp: 0})
    assert [len(record.value or b"") for record in read(reader, count=2)] == [3_000_000, 3_000_000]


def test_close_serves_what_is_left_and_ends_the_writer(writing_backend: Backend) -> None:
    topic = writing_backend.new_topic()
    writer, deliveries = writing_backend.writer(), InFlight()
    for record in numbered(topic, 10, partition=None):
        writer.send(record, deliveries)
    writer.close(timeout_seconds=20)
    writer.close(timeout_seconds=20)
    assert len(deliveries.accepted) == 10
    with pytest.raises(TransportError, match="closed"):
        writer.send(OutgoingRecord(topic, b"k", b"v"), deliveries)


@pytest.mark.usefixtures("topic_creation")
def test_a_topic_is_created_once(backend: Backend) -> None:
    admin = backend.admin()
    name = backend.new_group().replace("group", "created")
    spec = TopicSpec(name, partitions=3, configs=(("retention.ms", "60000"),))
    admin.create_topic(spec)
    assert admin.topics()[name] == 3
    assert not [topic for topic in admin.topics() if topic.startswith("__")]
    with pytest.raises(TopicExistsError) as exists:
        admin.create_topic(spec)
    assert exists.value.topic == name


def test_what_is_not_assigned_cannot_be_moved(backend: Backend) -> None:
    topic = backend.new_topic()
    reader = backend.reader()
    for call in (
        lambda: reader.seek(TopicPartition(topic, 0), 1),
        lambda: reader.pause([TopicPartition(topic, 0)]),
        lambda: reader.resume([TopicPartition(topic, 0)]),
        lambda: reader.position(TopicPartition(topic, 0)),
    ):
        with pytest.raises(TransportError, match=r"\[0\] is not assigned"):
            call()


def test_group_calls_want_a_group(backend: Backend) -> None:
    topic = backend.new_topic()
    reader = backend.reader()
    with pytest.raises(ConfigurationError, match="group"):
        reader.subscribe([topic])
    with pytest.raises(ConfigurationError, match="group"):
        reader.commit({TopicPartition(topic, 0): 1}, timeout_seconds=1)
    with pytest.raises(ConfigurationError, match="group"):
        reader.committed([TopicPartition(topic, 0)])


def test_the_first_offset_of_a_time_is_found_though_timestamps_run_backwards(backend: Backend) -> None:
    topic = backend.new_topic()
    times = [1_700_000_000_000 + seconds * 1000 for seconds in (0, 20, 10, 30, 5)]
    write(backend, [OutgoingRecord(topic, b"k", b"v", timestamp_ms=time_ms, partition=0) for time_ms in times])
    reader = backend.reader()
    full, empty = TopicPartition(topic, 0), TopicPartition(topic, 1)
    asked = {time_ms: reader.offsets_for_times({full: time_ms, empty: time_ms}) for time_ms in (0, *times, 2**42)}
    if not backend.creates_topics:  # librdkafka's mock cluster cannot tell
        assert {offset for found in asked.values() for offset in found.values()} == {None}
        return
    assert {found[empty] for found in asked.values()} == {None}
    assert [found[full] for found in asked.values()] == [0, 0, 1, 1, 3, 1, None]


def test_a_topic_id_stays_while_the_topic_does(backend: Backend) -> None:
    first, second = backend.new_topic(), backend.new_topic()
    reader = backend.reader()
    known = reader.topic_id(first)
    assert known == backend.reader().topic_id(first)
    assert known is None or known != reader.topic_id(second)


def test_a_cluster_has_the_same_id_for_everyone_and_another_one_does_not(backend: Backend) -> None:
    known = backend.admin().cluster_id()
    assert known
    assert known == backend.admin().cluster_id()
    other = InMemoryBroker().open_admin().cluster_id()
    assert known != other


@pytest.mark.usefixtures("topic_creation")
def test_the_settings_of_a_topic_are_returned(backend: Backend) -> None:
    topic = backend.new_topic(retention_ms="86400000")
    admin = backend.admin()
    assert admin.settings_of(topic)["retention.ms"] == "86400000"
    with pytest.raises(UnknownTopicError):
        admin.settings_of(f"{topic}-of-nobody")
