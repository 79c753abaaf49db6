"""Transactions of other producers: their markers take offsets and are no records."""

from __future__ import annotations

import uuid

import pytest

from flowise_telemetry_transport import TopicPartition
from tests.services.kafka import KafkaService
from tests.transport.backends import ClusterBackend, read, until

pytestmark = pytest.mark.real_broker


@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_markers_are_no_records_and_the_position_passes_them(kafka: KafkaService, client: str) -> None:
    from confluent_kafka import Producer

    topic, tp = (name := kafka.new_topic()), TopicPartition(name, 0)
    producer = Producer({"bootstrap.servers": ",".join(kafka.bootstrap_servers), "transactional.id": uuid.uuid4().hex})
    producer.init_transactions(60)
    for number in range(3):
        producer.begin_transaction()
        producer.produce(topic, str(number).encode(), partition=0)
        producer.commit_transaction(60)
    backend = ClusterBackend("librdkafka" if client == "librdkafka" else "kafka-python", kafka)
    try:
        reader = backend.reader()
        reader.assign({tp: 0})
        assert [(record.offset, record.value) for record in read(reader, count=3)] == [(0, b"0"), (2, b"1"), (4, b"2")]
        end = reader.end_offsets([tp])[tp]
        assert end == 6
        assert until(lambda: reader.position(tp) == end, reader) == []
    finally:
        backend.close()


@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_an_open_transaction_ends_what_a_reader_of_committed_records_gets(kafka: KafkaService, client: str) -> None:
    from confluent_kafka import Producer

    topic, tp = (name := kafka.new_topic()), TopicPartition(name, 0)
    servers = ",".join(kafka.bootstrap_servers)
    plain = Producer({"bootstrap.servers": servers})
    open_one = Producer({"bootstrap.servers": servers, "transactional.id": uuid.uuid4().hex})
    backend = ClusterBackend("librdkafka" if client == "librdkafka" else "kafka-python", kafka)
    open_one.init_transactions(60)
    open_one.begin_transaction()
    try:
        plain.produce(topic, b"before", partition=0)
        plain.flush(60)
        open_one.produce(topic, b"open", partition=0)
        open_one.flush(60)
        plain.produce(topic, b"after", partition=0)
        plain.flush(60)
        reader = backend.reader()
        reader.assign({tp: 0})
        first = read(reader, count=1)
        end = reader.end_offsets([tp])[tp]
        assert first[0].value == b"before"
        # kafka-python-ng reads uncommitted, and to the end.
        assert end == (1 if reads_committed(reader) else 3)
        assert reader.high_watermarks([tp]) == {tp: 3}
        assert reader.end_offsets([tp]) == {tp: end}
        until(lambda: reader.position(tp) == end, reader)
    finally:
        open_one.abort_transaction(60)
        backend.close()


def reads_committed(reader: object) -> bool:
    from kafka import KafkaConsumer

    return "LibrdkafkaReader" in repr(reader) or "isolation_level" in KafkaConsumer.DEFAULT_CONFIG
