"""Partitions that are added to a topic while a member reads it, with each client."""

from __future__ import annotations

import pytest

from flowise_telemetry_transport import ClientName, TopicPartition, open_reader
from flowise_telemetry_transport.clients import CLIENTS
from flowise_telemetry_transport.settings import METADATA_AGE_SECONDS
from tests.services.kafka import KafkaService
from tests.transport.backends import settle, until

OPTIONS = {"kafka-python": "metadata_max_age_ms", "librdkafka": "topic.metadata.refresh.interval.ms"}


@pytest.mark.real_broker
@pytest.mark.parametrize("client", sorted(CLIENTS))
def test_they_are_assigned_once_the_metadata_is_old(client: ClientName, kafka: KafkaService) -> None:
    """By the setting that the guide names; its default is the next test's."""
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewPartitions

    topic = kafka.new_topic(partitions=2)
    reader = open_reader(kafka.settings(client=client, options={OPTIONS[client]: "300"}), group=kafka.new_group())
    reader.subscribe([topic])
    settle(reader, partitions=2)
    admin = AdminClient({"bootstrap.servers": ",".join(kafka.bootstrap_servers)})
    admin.create_partitions([NewPartitions(topic, 4)])[topic].result(timeout=30)
    until(lambda: reader.assignment() == {TopicPartition(topic, number) for number in range(4)}, reader)
    reader.close(timeout_seconds=5)


@pytest.mark.services
@pytest.mark.parametrize("client", sorted(CLIENTS))
def test_metadata_of_the_embedded_broker_is_old_after_half_a_minute(
    client: ClientName, embedded_kafka: KafkaService, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    if client == "librdkafka":
        import confluent_kafka

        class Consumer(confluent_kafka.Consumer):
            def __init__(self, config: dict[str, object], **more: object) -> None:
                made.append(config["topic.metadata.refresh.interval.ms"])
                super().__init__(config, **more)

        monkeypatch.setattr(confluent_kafka, "Consumer", Consumer)
    reader = open_reader(embedded_kafka.settings(client=client), group="half-a-minute")
    if client == "kafka-python":
        made.append(reader._consumer.config["metadata_max_age_ms"])  # type: ignore[attr-defined]
    reader.close(timeout_seconds=5)
    assert made == [30_000] == [METADATA_AGE_SECONDS * 1000]
