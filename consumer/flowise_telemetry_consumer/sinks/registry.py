"""The sink of a URL."""

from __future__ import annotations

from importlib import import_module

from flowise_telemetry_consumer.sinks.installed import installed_schemes, open_installed
from flowise_telemetry_consumer.sinks.port import Sink
from flowise_telemetry_schemas import ConfigurationError, MissingExtraError

__all__ = ["SINK_FORMS", "open_sink"]

_PACKAGE = "flowise_telemetry_consumer.sinks"
_ADAPTERS = {
    "sqlite": (f"{_PACKAGE}.sqlite", "open_sqlite"),
    "postgresql": (f"{_PACKAGE}.postgres", "open_postgres"),
    "postgres": (f"{_PACKAGE}.postgres", "open_postgres"),
    "jsonl": (f"{_PACKAGE}.jsonl", "open_jsonl"),
    "duckdb": (f"{_PACKAGE}.duckdb", "open_duckdb"),
    "parquet": (f"{_PACKAGE}.parquet", "open_parquet"),
    "parquet+s3": (f"{_PACKAGE}.parquet", "open_parquet_s3"),
}
# What a scheme needs beside the package itself: the library, and the extra that brings it.
_NEEDS = {
    "postgresql": ("psycopg", "postgres"),
    "postgres": ("psycopg", "postgres"),
    "duckdb": ("duckdb", "duckdb"),
    "parquet+s3": ("obstore", "s3"),
}
SINK_FORMS = (
    "sqlite:///relative.db",
    "sqlite:////absolute.db",
    "postgresql://user@host/database",
    "duckdb:///file",
    "parquet:///folder",
    "parquet+s3://bucket/prefix",
    "jsonl:-",
    "jsonl:///file",
)
"""The URLs that there are, by example."""


def open_sink(url: str) -> Sink:
    """The sink that a URL names. Nothing is touched before its first use.

    Other packages can bring schemes (``sinks.installed``); where they bring one of ours, ours is taken. Raises
    ``ConfigurationError`` for a URL of no scheme that there is; its text never repeats the URL, which may hold a
    password. Raises ``MissingExtraError`` where the sink's library is not installed.
    """
    scheme, colon, _ = url.partition(":")
    if colon and scheme not in _ADAPTERS and (installed := open_installed(scheme, url)) is not None:
        return installed
    if not colon or scheme not in _ADAPTERS:
        raise ConfigurationError(f"not the URL of a sink; there are: {', '.join([*SINK_FORMS, *installed_schemes()])}")
    module, function = _ADAPTERS[scheme]
    try:
        sink: Sink = getattr(import_module(module), function)(url)
    except ImportError as error:
        # psycopg without a libpq raises an ImportError that names no module. polars is asked for by the package itself.
        if scheme in _NEEDS:
            raise MissingExtraError(*_NEEDS[scheme]) from error
        raise
    return sink
