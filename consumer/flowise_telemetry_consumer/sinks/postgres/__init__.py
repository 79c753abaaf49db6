"""A sink in PostgreSQL: ``postgresql://user@host/database``, with ``?schema=name`` beside libpq's own parameters."""

from __future__ import annotations

from flowise_telemetry_consumer.sinks.postgres.address import address_of
from flowise_telemetry_consumer.sinks.postgres.sink import PostgresSink

__all__ = ["PostgresSink", "open_postgres"]


def open_postgres(url: str) -> PostgresSink:
    """Return the sink of a PostgreSQL URL. Connects at the first use."""
    return PostgresSink(address_of(url))
