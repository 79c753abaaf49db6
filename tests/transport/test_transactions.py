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
