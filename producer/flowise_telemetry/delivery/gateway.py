"""Open the client of a gateway with the producer's own bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowise_telemetry.settings import ProducerSettings
    from flowise_telemetry_transport.ports import RecordWriter

__all__ = ["open_gateway"]

_DELIVERY_TIMEOUT_SECONDS = 30.0


def open_gateway(settings: ProducerSettings, *, buffer_bytes: int) -> RecordWriter:
    """Return a writer for ``FLOWISE_TELEMETRY_ENDPOINT``; its ``send`` never waits.

    Imports all that it needs, so call it within ``lifecycle.loading``. Raises ``ConfigurationError``.
    """
    from flowise_telemetry_transport.gateway import open_gateway_writer

    return open_gateway_writer(
        settings.gateway(), delivery_timeout_seconds=_DELIVERY_TIMEOUT_SECONDS, buffer_bytes=buffer_bytes
    )
