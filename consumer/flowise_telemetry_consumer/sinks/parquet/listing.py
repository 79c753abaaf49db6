"""Listing of the data files that count at one moment."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from flowise_telemetry_consumer.sinks.parquet.data_file import DataFile
from flowise_telemetry_consumer.sinks.parquet.storage import Storage

__all__ = ["EXCHANGES", "Exchange", "exchanges", "list_data"]

EXCHANGES = "_flowise_telemetry/exchanges"
"""Folder of the exchanges in progress."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One compacted file and the files that it replaces, which no longer count once it exists."""

    path: str
    new: str
    old: tuple[str, ...]

    def document(self) -> bytes:
        """Return it as stored."""
        return json.dumps({"new": self.new, "old": self.old}).encode()


def exchanges(storage: Storage) -> list[Exchange]:
    """Return the exchanges in progress, or left by a compaction that was killed."""
    found = []
    paths = storage.list_files(EXCHANGES)
    for path, document in zip(paths, storage.read(paths), strict=True):
        if document is not None:
            kept = json.loads(document.data)
            found.append(Exchange(path, kept["new"], tuple(kept["old"])))
    return found


def list_data(storage: Storage, event: str | None = None) -> list[DataFile]:
    """Return the data files of one or all events, sorted by name, each row in one of them."""
    paths = storage.list_files("" if event is None else f"event={event}")
    # In this order: an exchange that begins after the listing does not have its new file in it.
    there = set(paths)
    gone = {old for exchange in exchanges(storage) if exchange.new in there for old in exchange.old}
    return _data_files(path for path in sorted(there - gone))


def _data_files(paths: Iterable[str]) -> list[DataFile]:
    return [file for path in paths if (file := DataFile.at(path)) is not None]
