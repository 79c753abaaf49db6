"""The ways in: each opens the adapter that the settings name, and imports its client only then."""

from __future__ import annotations

from importlib.util import find_spec

from flowise_telemetry_transport.ports import RecordReader, RecordWriter, TopicAdmin
from flowise_telemetry_transport.settings import ClientName, KafkaSettings

__all__ = ["DEFAULT_CLIENT_ID", "fastest_client", "open_admin", "open_reader", "open_writer"]

DEFAULT_CLIENT_ID = "flowise-telemetry"


def fastest_client() -> ClientName:
    """librdkafka where its extra is installed: reading costs it half of what it costs kafka-python."""
    return "librdkafka" if find_spec("confluent_kafka") else "kafka-python"


def open_reader(
    settings: KafkaSettings, *, group: str | None = None, client_id: str = DEFAULT_CLIENT_ID
) -> RecordReader:
    """A reader; ``group`` None can only ``assign``.

    Raises ``BrokerUnavailableError`` (naming the servers) after ``connect_timeout_seconds``, ``ConfigurationError``
    for a setting that the client does not know, ``MissingExtraError``, ``AuthenticationError``.
    """
    if settings.client == "librdkafka":
        from flowise_telemetry_transport.librdkafka.reader import LibrdkafkaReader

        return LibrdkafkaReader(settings, group=group, client_id=client_id)
    from flowise_telemetry_transport.kafka_python.reader import KafkaPythonReader

    return KafkaPythonReader(settings, group=group, client_id=client_id)


def open_writer(
    settings: KafkaSettings,
    *,
    client_id: str = DEFAULT_CLIENT_ID,
    delivery_timeout_seconds: float = 120.0,
    block_seconds: float = 5.0,
    linger_ms: int = 20,
    max_record_bytes: int = 1_048_576,
    buffer_bytes: int = 33_554_432,
    compression: str | None = None,
) -> RecordWriter:
    """A writer, at once: the broker need not be there yet.

    A record that is not acknowledged after ``delivery_timeout_seconds`` gets its callback with
    ``DeliveryTimeoutError``.
    ``send`` waits at most ``block_seconds`` for a connection, metadata or room in the ``buffer_bytes`` of the client.
    ``max_record_bytes`` bounds key, value and headers of one record, framing included. ``compression``: gzip,
    snappy, lz4 or zstd.
    """
    if settings.client == "librdkafka":
        from flowise_telemetry_transport.librdkafka.writer import LibrdkafkaWriter

        return LibrdkafkaWriter(
            settings,
            client_id=client_id,
            delivery_timeout_seconds=delivery_timeout_seconds,
            block_seconds=block_seconds,
            linger_ms=linger_ms,
            max_record_bytes=max_record_bytes,
            buffer_bytes=buffer_bytes,
            compression=compression,
        )
    from flowise_telemetry_transport.kafka_python.writer import KafkaPythonWriter

    return KafkaPythonWriter(
        settings,
        client_id=client_id,
        delivery_timeout_seconds=delivery_timeout_seconds,
        block_seconds=block_seconds,
        linger_ms=linger_ms,
        max_record_bytes=max_record_bytes,
        buffer_bytes=buffer_bytes,
        compression=compression,
    )


def open_admin(settings: KafkaSettings, *, client_id: str = DEFAULT_CLIENT_ID) -> TopicAdmin:
    """An admin. Raises as ``open_reader``."""
    if settings.client == "librdkafka":
        from flowise_telemetry_transport.librdkafka.admin import LibrdkafkaAdmin

        return LibrdkafkaAdmin(settings, client_id=client_id)
    from flowise_telemetry_transport.kafka_python.admin import KafkaPythonAdmin

    return KafkaPythonAdmin(settings, client_id=client_id)
