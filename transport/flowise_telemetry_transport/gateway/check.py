"""The reason why a gateway cannot be used, by a batch without records."""

from __future__ import annotations

from dataclasses import replace

from flowise_telemetry_schemas.errors import TelemetryError
from flowise_telemetry_transport.gateway.connection import Connection
from flowise_telemetry_transport.gateway.settings import GatewaySettings
from flowise_telemetry_transport.gateway.verdict import verdict_of

__all__ = ["why_unusable"]

_SECONDS = 3.0


def why_unusable(settings: GatewaySettings) -> TelemetryError | None:
    """Return why this gateway takes nothing with this key, within some seconds; None if it does. Nothing is sent."""
    connection = None
    try:
        connection = Connection(replace(settings, connect_timeout_seconds=_SECONDS, request_timeout_seconds=_SECONDS))
        response = connection.post(b"", is_gzip=False, key=settings.key)
    except TelemetryError as error:
        return error
    finally:
        if connection is not None:
            connection.close()
    return verdict_of(response, sent=0, shown=settings.shown).error
