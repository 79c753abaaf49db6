"""The adapter for confluent-kafka (librdkafka). ``confluent_kafka`` is imported here only, lazily."""

from __future__ import annotations

from flowise_telemetry_transport.ports import RecordReader, RecordWriter, TopicAdmin
from flowise_telemetry_transport.settings import KafkaSettings, WriterOptions

__all__ = ["LIBRARY", "open_admin", "open_reader", "open_writer", "warm_up"]

LIBRARY = "confluent_kafka"


def open_reader(settings: KafkaSettings, *, group: str | None, client_id: str) -> RecordReader:
    """See ``clients.open_reader``."""
    from flowise_telemetry_transport.librdkafka.reader import LibrdkafkaReader

    return LibrdkafkaReader(settings, group=group, client_id=client_id)


def open_writer(settings: KafkaSettings, options: WriterOptions, *, client_id: str) -> RecordWriter:
    """See ``clients.open_writer``."""
    from flowise_telemetry_transport.librdkafka.writer import LibrdkafkaWriter

    return LibrdkafkaWriter(settings, options, client_id=client_id)


def open_admin(settings: KafkaSettings, *, client_id: str) -> TopicAdmin:
    """See ``clients.open_admin``."""
    from flowise_telemetry_transport.librdkafka.admin import LibrdkafkaAdmin

    return LibrdkafkaAdmin(settings, client_id=client_id)


def warm_up(settings: KafkaSettings) -> None:
    """Do nothing: ``open_writer`` creates the client, which imports everything. See ``clients.warm_up``."""
