"""Sinks: places that keep events, one folder per kind, chosen by URL."""

from flowise_telemetry_consumer.sinks.kind import SinkKind
from flowise_telemetry_consumer.sinks.port import (
    Batch,
    Erasable,
    HasSnapshots,
    KeepsAccount,
    KeepsProgress,
    Prunable,
    Readable,
    Sink,
    Snapshot,
    SourceProgress,
    Stageable,
    WriteResult,
)
from flowise_telemetry_consumer.sinks.registry import open_sink, sink_kind

__all__ = [
    "Batch",
    "Erasable",
    "HasSnapshots",
    "KeepsAccount",
    "KeepsProgress",
    "Prunable",
    "Readable",
    "Sink",
    "SinkKind",
    "Snapshot",
    "SourceProgress",
    "Stageable",
    "WriteResult",
    "open_sink",
    "sink_kind",
]
