"""A sink of Parquet files: ``parquet:///folder``, or ``parquet+s3://bucket/prefix`` on object storage."""

from __future__ import annotations

import os

from flowise_telemetry_consumer.sinks.local_files import file_of
from flowise_telemetry_consumer.sinks.parquet.address import bucket_of
from flowise_telemetry_consumer.sinks.parquet.compaction import COMPACTED_ROWS, Compacted
from flowise_telemetry_consumer.sinks.parquet.folder import Folder
from flowise_telemetry_consumer.sinks.parquet.known_ids import MAX_CACHED_IDS
from flowise_telemetry_consumer.sinks.parquet.object_store import LOCK_SECONDS, ObjectStore
from flowise_telemetry_consumer.sinks.parquet.sink import ParquetSink

__all__ = [
    "COMPACTED_ROWS",
    "LOCK_SECONDS",
    "MAX_CACHED_IDS",
    "Compacted",
    "ParquetSink",
    "open_parquet",
    "open_parquet_s3",
]


def open_parquet(url: str) -> ParquetSink:
    """Return the sink of a folder, which ``prepare`` creates; its parent must exist."""
    return ParquetSink(Folder(file_of(url.rstrip("/") if url.count("/") > 3 else url, "parquet")))


def open_parquet_s3(url: str) -> ParquetSink:
    """Return the sink of a bucket, which must exist. Connects at the first use."""
    return ParquetSink(ObjectStore(bucket_of(url, os.environ)))
