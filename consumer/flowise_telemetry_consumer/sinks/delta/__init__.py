"""A sink of Delta tables: ``delta:///folder``, or ``delta+s3://bucket/prefix`` on object storage (az, gs likewise)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from flowise_telemetry_consumer.sinks.delta.address import place_of
from flowise_telemetry_consumer.sinks.delta.compaction import COMPACTED_ROWS, RETENTION_HOURS, Compacted
from flowise_telemetry_consumer.sinks.delta.folder import Folder
from flowise_telemetry_consumer.sinks.delta.log import TableLog
from flowise_telemetry_consumer.sinks.delta.object_store import LOCK_SECONDS, ObjectStore
from flowise_telemetry_consumer.sinks.delta.one_table import OneTable
from flowise_telemetry_consumer.sinks.delta.sink import DeltaSink
from flowise_telemetry_consumer.sinks.local_files import file_of

if TYPE_CHECKING:
    from pathlib import Path

    from flowise_telemetry_schemas import EventSchema
    from flowise_telemetry_transport.diagnosis.finding import Finding

__all__ = [
    "COMPACTED_ROWS",
    "LOCK_SECONDS",
    "RETENTION_HOURS",
    "Compacted",
    "DeltaSink",
    "look",
    "open_delta",
    "open_delta_on_objects",
    "open_table",
]


def open_delta(url: str) -> DeltaSink:
    """Return the sink of a folder; ``prepare`` creates it, the folder around it must be there."""
    # Asked for here, so that a missing extra is told when the sink is opened.
    import deltalake  # noqa: F401

    return DeltaSink(Folder(_folder_of(url)))


def _folder_of(url: str) -> Path:
    return file_of(url.rstrip("/") if url.count("/") > 3 else url, "delta")


def look(url: str, schemas: Sequence[EventSchema]) -> Iterator[Finding]:
    """See ``SinkKind.look``; of a local folder."""
    from flowise_telemetry_consumer.sinks.file_place import look_at_place

    return look_at_place(_folder_of(url), url, is_folder=True)


def open_delta_on_objects(url: str) -> DeltaSink:
    """Return the sink of a bucket; it must be there. Nothing is connected before the first use."""
    import deltalake  # noqa: F401 - as above

    return DeltaSink(ObjectStore(place_of(url, os.environ)))


def open_table(url: str) -> OneTable | None:
    """Return the table that a URL names where one of a lake is expected; None where there is none of its own."""
    import deltalake  # noqa: F401 - as above

    store: Folder | ObjectStore
    if url.startswith("delta:"):
        folder = file_of(url.rstrip("/"), "delta")
        event, store = folder.name, Folder(folder.parent)
    else:
        place = place_of(url, os.environ)
        above, _, event = place.prefix.rpartition("/")
        store = ObjectStore(replace(place, prefix=above))
    with store.translate_errors():
        if not event or not TableLog(store, event).load():
            return None
    return OneTable(DeltaSink(store), event, url)
