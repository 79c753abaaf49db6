"""A sink in ClickHouse: ``clickhouse://user@host:8443/database``, or the engine in this process, ``clickhouse:///folder``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flowise_telemetry_consumer.sinks.clickhouse.address import address_of
from flowise_telemetry_consumer.sinks.clickhouse.sink import ClickhouseSink

if TYPE_CHECKING:
    from flowise_telemetry_schemas import EventSchema
    from flowise_telemetry_transport.diagnosis.finding import Finding

__all__ = ["ClickhouseSink", "look", "open_clickhouse"]

_FOLDER = "clickhouse:///"


def open_clickhouse(url: str) -> ClickhouseSink:
    """Return the sink of a ClickHouse URL. Connects at the first use."""
    import clickhouse_connect  # noqa: F401 - so that a missing extra is reported when the sink is opened

    return ClickhouseSink(address_of(url))


def look(url: str, schemas: Sequence[EventSchema]) -> Iterator[Finding]:
    """See ``SinkKind.look``. An engine in this process would make the folder to read it."""
    from flowise_telemetry_consumer.sinks.file_place import look_at_place
    from flowise_telemetry_consumer.sinks.looking import look_by_reading

    if url.startswith(_FOLDER):
        return look_at_place(Path(url.removeprefix(_FOLDER).partition("?")[0]), url, is_folder=True)
    return look_by_reading(open_clickhouse(url))
