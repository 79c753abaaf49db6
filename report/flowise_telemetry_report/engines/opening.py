"""The engine of a sink, by the scheme of its URL."""

from __future__ import annotations

from importlib import import_module

from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.sinks import sink_kind
from flowise_telemetry_report.engines.port import Engine
from flowise_telemetry_schemas import MissingExtraError

__all__ = ["ENGINES", "open_engine"]

ENGINES = {
    "sqlite": ("sqlite", "open_sqlite"),
    "duckdb": ("duckdb", "open_duckdb"),
    "postgresql": ("postgres", "open_postgres"),
    "clickhouse": ("clickhouse", "open_clickhouse"),
    "delta": ("delta", "open_delta"),
}
"""Module and opener of each scheme that has an engine."""


def open_engine(url: str) -> Engine:
    """Return the engine of a sink's URL, connected.

    Raises ``ConfigurationError`` for a URL of no sink, ``SinkError`` for a sink without an engine or one that cannot be
    opened, ``SinkUnavailableError`` where waiting helps, ``MissingExtraError``.
    """
    kind = sink_kind(url)
    found = ENGINES.get(kind.scheme)
    if found is None:
        raise SinkError(
            f"{kind.scheme} cannot be asked: these can: {', '.join(ENGINES)}; "
            "copy it into one of them first: flowise-telemetry replay --source URL --sink duckdb:///copy.duckdb, or "
            "flowise-telemetry import for JSON lines"
        )
    module, opener = found
    try:
        engine: Engine = getattr(import_module(f"{__package__}.{module}"), opener)(url)
    except ImportError as error:
        if kind.library is not None and kind.extra is not None:
            raise MissingExtraError(kind.library, kind.extra) from error
        raise
    return engine
