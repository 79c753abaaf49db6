"""A sink in PostgreSQL: ``postgresql://user@host/database``, with ``?schema=name`` beside libpq's own parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from flowise_telemetry_consumer.sinks.postgres.address import address_of
from flowise_telemetry_consumer.sinks.postgres.sink import PostgresSink

if TYPE_CHECKING:
    from flowise_telemetry_schemas import EventSchema
    from flowise_telemetry_transport.diagnosis.finding import Finding

__all__ = ["PostgresSink", "look", "open_postgres"]


def open_postgres(url: str) -> PostgresSink:
    """Return the sink of a PostgreSQL URL. Connects at the first use."""
    return PostgresSink(address_of(url))


def look(url: str, schemas: Sequence[EventSchema]) -> Iterator[Finding]:
    """See ``SinkKind.look``."""
    from flowise_telemetry_consumer.sinks.postgres.rights import look_at_postgres

    return look_at_postgres(address_of(url), schemas)
