"""Connections that close while something is queued on them."""

from __future__ import annotations

import pytest

from flowise_telemetry_transport.kafka_python.reader import KafkaPythonReader
from tests.services.kafka import KafkaService


@pytest.mark.parametrize("is_dropped", [False, True], ids=["kept", "dropped"])
def test_a_connection_that_was_closed_with_something_queued_ends_no_call(
    embedded_kafka: KafkaService, is_dropped: bool
) -> None:
    # As where a balancer, or a broker that stops, accepts connections and closes them; the client forgets those of the
    # bootstrap addresses once a broker is connected.
    reader = KafkaPythonReader(embedded_kafka.settings(), group=None, client_id="test")
    try:
        topic = embedded_kafka.new_topic()
        reader.partitions_of(topic)
        client = reader._consumer._client
        for node, connection in list(client._conns.items()):
            connection.close()
            client._sending.add(connection)
            if is_dropped:
                del client._conns[node]
        assert reader.poll(timeout_seconds=0.1, max_records=1) == []
        assert reader.partitions_of(topic)
    finally:
        reader.close()
