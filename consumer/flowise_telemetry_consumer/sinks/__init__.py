"""Where events are kept: SQLite, PostgreSQL or lines of JSON, chosen by URL."""

from flowise_telemetry_consumer.sinks.port import Batch, Sink, SourceProgress, WriteResult
from flowise_telemetry_consumer.sinks.registry import open_sink

__all__ = ["Batch", "Sink", "SourceProgress", "WriteResult", "open_sink"]
