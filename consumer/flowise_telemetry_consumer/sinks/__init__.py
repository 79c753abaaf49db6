"""Sinks: places that keep events, one folder per kind, chosen by URL."""

from flowise_telemetry_consumer.sinks.kind import SinkKind
from flowise_telemetry_consumer.sinks.port import (
    Batch,
    KeepsProgress,
    Prunable,
    Readable,
    Sink,
    SourceProgress,
    Stageable,
    WriteResult,
)
from flowise_telemetry_consumer.sinks.registry import open_sink, sink_kind

__all__ = [
    "Batch",
    "KeepsProgress",
    "Prunable",
    "Readable",
    "Sink",
    "SinkKind",
    "SourceProgress",
    "Stageable",
    "WriteResult",
    "open_sink",
    "sink_kind",
]
