"""The adapter for kafka-python-ng 2.2, and for kafka-python 3 in its place. ``kafka`` is imported here only, lazily."""

from __future__ import annotations

from flowise_telemetry_transport.ports import RecordReader, RecordWriter, TopicAdmin
from flowise_telemetry_transport.settings import KafkaSettings, WriterOptions

__all__ = ["LIBRARY", "open_admin", "open_reader", "open_writer", "warm_up"]

LIBRARY = "kafka"


def open_reader(settings: KafkaSettings, *, group: str | None, client_id: str) -> RecordReader:
    """See ``clients.open_reader``."""
    from flowise_telemetry_transport.kafka_python.reader import KafkaPythonReader

    return KafkaPythonReader(settings, group=group, client_id=client_id)


def open_writer(settings: KafkaSettings, options: WriterOptions, *, client_id: str) -> RecordWriter:
    """See ``clients.open_writer``."""
    from flowise_telemetry_transport.kafka_python.writer import KafkaPythonWriter

    return KafkaPythonWriter(settings, options, client_id=client_id)


def open_admin(settings: KafkaSettings, *, client_id: str) -> TopicAdmin:
    """See ``clients.open_admin``."""
    from flowise_telemetry_transport.kafka_python.admin import KafkaPythonAdmin

    return KafkaPythonAdmin(settings, client_id=client_id)


def warm_up(settings: KafkaSettings) -> None:
    """See ``clients.warm_up``."""
    from flowise_telemetry_transport.kafka_python.config import client_config

    client_config(settings, {})
