"""A sink in PostgreSQL: ``postgresql://user@host/database``, with ``?schema=name`` beside libpq's own parameters."""

from __future__ import annotations

from flowise_telemetry_consumer.sinks.postgres.address import address_of
from flowise_telemetry_consumer.sinks.postgres.sink import PostgresSink

__all__ = ["PostgresSink", "open_postgres"]


def open_postgres(url: str) -> PostgresSink:
    """The sink of a PostgreSQL URL. Nothing is connected before the first use."""
    return PostgresSink(address_of(url))
