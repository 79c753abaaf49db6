"""A sink in ClickHouse: ``clickhouse://user@host:8443/database``, or the engine in this process, ``clickhouse:///folder``."""

from __future__ import annotations

from flowise_telemetry_consumer.sinks.clickhouse.address import address_of
from flowise_telemetry_consumer.sinks.clickhouse.sink import ClickhouseSink

__all__ = ["ClickhouseSink", "open_clickhouse"]


def open_clickhouse(url: str) -> ClickhouseSink:
    """Return the sink of a ClickHouse URL. Connects at the first use."""
    import clickhouse_connect  # noqa: F401 - so that a missing extra is reported when the sink is opened

    return ClickhouseSink(address_of(url))
