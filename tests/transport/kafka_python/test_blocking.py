"""Connections that close while something is queued on them."""

from __future__ import annotations

from flowise_telemetry_transport.kafka_python.reader import KafkaPythonReader
from tests.services.kafka import KafkaService


def test_a_connection_that_was_closed_with_something_queued_ends_no_call(embedded_kafka: KafkaService) -> None:
    # As where a balancer, or a broker that stops, accepts connections and closes them.
    reader = KafkaPythonReader(embedded_kafka.settings(), group=None, client_id="test")
    try:
        topic = embedded_kafka.new_topic()
        reader.partitions_of(topic)
        client = reader._consumer._client
        for connection in list(client._conns.values()):
            connection.close()
            client._sending.add(connection)
        assert reader.poll(timeout_seconds=0.1, max_records=1) == []
        assert reader.partitions_of(topic)
    finally:
        reader.close()
