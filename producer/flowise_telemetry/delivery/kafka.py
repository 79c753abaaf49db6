"""Open the Kafka client with the producer's own bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowise_telemetry_transport.ports import RecordWriter

__all__ = ["open_kafka_writer"]

_BLOCK_SECONDS = 1.0


def open_kafka_writer(
    environ: Mapping[str, str],
    *,
    buffer_bytes: int,
    batch_bytes: int | None = None,
    given: Mapping[str, object] | None = None,
    delivery_timeout_seconds: float = 30.0,
    block_seconds: float = _BLOCK_SECONDS,
) -> RecordWriter:
    """Return a writer for ``FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS`` whose ``send`` waits at most ``block_seconds``.

    ``given`` are settings of the program, which override the variables.

    Imports the client, so call it within ``lifecycle.loading``. Raises ``ConfigurationError`` and
    ``MissingExtraError``.
    """
    from flowise_telemetry_transport.clients import open_writer, warm_up
    from flowise_telemetry_transport.settings import KafkaSettings

    settings = KafkaSettings.from_env(environ, given=given)
    # Imported now what the first look-up or send would import: a fork in the middle of an import breaks the child.
    "localhost".encode("idna")
    warm_up(settings)
    return open_writer(
        settings,
        delivery_timeout_seconds=delivery_timeout_seconds,
        block_seconds=block_seconds,
        buffer_bytes=buffer_bytes,
        batch_bytes=batch_bytes,
    )
