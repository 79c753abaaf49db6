"""A gateway over HTTPS, for records from where the cluster cannot be reached: a writer, and neither reader nor admin.

``wire`` is what both sides say to each other. Nothing here is loaded until a writer is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowise_telemetry_transport.gateway.settings import GatewaySettings
    from flowise_telemetry_transport.ports import RecordWriter

__all__ = ["open_gateway_writer"]


def open_gateway_writer(
    settings: GatewaySettings,
    *,
    delivery_timeout_seconds: float = 120.0,
    max_record_bytes: int = 1_048_576,
    buffer_bytes: int = 33_554_432,
    batch_bytes: int | None = None,
) -> RecordWriter:
    """Open a writer without connecting. Imports all that it needs. For the bounds see ``clients.open_writer``.

    Raises ``ConfigurationError``.
    """
    from flowise_telemetry_transport.clients import warn_of_dangers
    from flowise_telemetry_transport.gateway.writer import GatewayWriter
    from flowise_telemetry_transport.settings import WriterOptions

    if settings.is_secure:
        warn_of_dangers(settings.tls_settings())
    options = WriterOptions(
        delivery_timeout_seconds=delivery_timeout_seconds,
        block_seconds=0.0,
        linger_ms=0,
        max_record_bytes=max_record_bytes,
        buffer_bytes=buffer_bytes,
        compression="gzip",
        batch_bytes=batch_bytes,
    )
    return GatewayWriter(settings, options)
