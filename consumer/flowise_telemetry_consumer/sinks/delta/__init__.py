"""A sink of Delta tables: ``delta:///folder``, or ``delta+s3://bucket/prefix`` on object storage."""

from __future__ import annotations

from flowise_telemetry_consumer.sinks.delta.compaction import COMPACTED_ROWS, RETENTION_HOURS, Compacted
from flowise_telemetry_consumer.sinks.delta.folder import Folder
from flowise_telemetry_consumer.sinks.delta.sink import DeltaSink
from flowise_telemetry_consumer.sinks.local_files import file_of

__all__ = ["COMPACTED_ROWS", "RETENTION_HOURS", "Compacted", "DeltaSink", "open_delta"]


def open_delta(url: str) -> DeltaSink:
    """Return the sink of a folder; ``prepare`` creates it, the folder around it must be there."""
    # Asked for here, so that a missing extra is told when the sink is opened.
    import deltalake  # noqa: F401

    return DeltaSink(Folder(file_of(url.rstrip("/") if url.count("/") > 3 else url, "delta")))
