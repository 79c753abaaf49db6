"""A table of one file, which each commit replaces."""

from __future__ import annotations

import secrets

from flowise_telemetry_consumer.sinks.delta.log import TableLog, now_ms
from flowise_telemetry_consumer.sinks.delta.store import Store

__all__ = ["overwrite"]


def overwrite(store: Store, log: TableLog, data: bytes) -> bool:
    """Put a Parquet file in place of the others; return False, and nothing is changed, where others committed first."""
    path, now = f"{secrets.token_hex(12)}.parquet", now_ms()
    removes = [{"remove": {"path": old, "deletionTimestamp": now, "dataChange": True}} for old in list(log.files)]
    add = {"path": path, "partitionValues": {}, "size": len(data), "modificationTime": now, "dataChange": True}
    store.put([(f"{log.table}/{path}", data)])
    if not log.commit("OVERWRITE", [*removes, {"add": add}]):
        store.delete([f"{log.table}/{path}"])
        return False
    return True
