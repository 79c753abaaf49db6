"""Records that others compressed, by every codec and larger than a codec unpacks at once."""

from __future__ import annotations

import pytest

from flowise_telemetry_transport import ClientName, TopicPartition
from tests.services.kafka import KafkaService
from tests.transport.backends import ClusterBackend, read


@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_every_codec_is_read_whatever_the_size(client: ClientName, kafka: KafkaService) -> None:
    from confluent_kafka import Producer

    topic, values = kafka.new_topic(), []
    for codec in ("gzip", "snappy", "lz4", "zstd"):
        settings = {"bootstrap.servers": ",".join(kafka.bootstrap_servers), "compression.type": codec}
        ordered = {"enable.idempotence": True}  # a message that is sent again stays in its place
        producer = Producer({**settings, **ordered, "linger.ms": 100, "message.max.bytes": 10_000_000})
        for value in (codec.encode() * 800_000, codec.encode()):
            producer.produce(topic, value, partition=0)
            values.append(value)
        assert producer.flush(60) == 0
    backend = ClusterBackend(client, kafka)
    try:
        reader = backend.reader()
        reader.assign({TopicPartition(topic, 0): 0})
        assert [record.value for record in read(reader, count=len(values))] == values
    finally:
        backend.close()
