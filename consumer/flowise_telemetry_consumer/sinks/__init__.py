"""Where events are kept: SQLite, PostgreSQL or lines of JSON, chosen by URL."""

from flowise_telemetry_consumer.sinks.open import open_sink
from flowise_telemetry_consumer.sinks.port import Batch, Sink, SourceProgress, WriteResult

__all__ = ["Batch", "Sink", "SourceProgress", "WriteResult", "open_sink"]
