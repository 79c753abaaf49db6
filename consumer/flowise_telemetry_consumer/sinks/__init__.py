"""Sinks: places that keep events, one folder per kind, chosen by URL."""

from flowise_telemetry_consumer.sinks.account.port import KeepsAccount, MergesAccount
from flowise_telemetry_consumer.sinks.kind import SinkKind
from flowise_telemetry_consumer.sinks.port import (
    Batch,
    Erasable,
    HasSnapshots,
    KeepsProgress,
    KnowsEvents,
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
    "KnowsEvents",
    "MergesAccount",
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
