"""Opens Kafka's client with the producer's own bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowise_telemetry_transport.ports import RecordWriter

__all__ = ["open_kafka_writer"]

_DELIVERY_TIMEOUT_SECONDS = 30.0
_BLOCK_SECONDS = 1.0


def open_kafka_writer(environ: Mapping[str, str], *, buffer_bytes: int) -> RecordWriter:
    """A writer for ``FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS``. This is where the client is imported,
    so it is to be called within ``lifecycle.loading``.

    Raises ``ConfigurationError``, ``MissingExtraError``.
    """
    from flowise_telemetry_transport.clients import open_writer, warm_up
    from flowise_telemetry_transport.settings import KafkaSettings

    settings = KafkaSettings.from_env(environ)
    # What would else be imported at the first send or look-up: now, so that no fork comes in between.
    "localhost".encode("idna")
    warm_up(settings)
    return open_writer(
        settings,
        delivery_timeout_seconds=_DELIVERY_TIMEOUT_SECONDS,
        block_seconds=_BLOCK_SECONDS,
        buffer_bytes=buffer_bytes,
    )
