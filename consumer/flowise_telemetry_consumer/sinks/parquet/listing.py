"""The data files that count at one moment."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from flowise_telemetry_consumer.sinks.parquet.data_file import DataFile
from flowise_telemetry_consumer.sinks.parquet.storage import Storage

__all__ = ["EXCHANGES", "Exchange", "exchanges", "list_data"]

EXCHANGES = "_flowise_telemetry/exchanges"
"""The folder of the exchanges that are under way."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One compacted file and those whose rows it holds. From when it is there, they do not count any more."""

    path: str
    new: str
    old: tuple[str, ...]

    def document(self) -> bytes:
        """As it is kept."""
        return json.dumps({"new": self.new, "old": self.old}).encode()


def exchanges(storage: Storage) -> list[Exchange]:
    """Those that are under way, or were when someone was killed."""
    found = []
    paths = storage.list_files(EXCHANGES)
    for path, document in zip(paths, storage.read(paths), strict=True):
        if document is not None:
            kept = json.loads(document.data)
            found.append(Exchange(path, kept["new"], tuple(kept["old"])))
    return found


def list_data(storage: Storage, event: str | None = None) -> list[DataFile]:
    """The data files of an event, or of all, in the order of their names, each row in one of them."""
    paths = storage.list_files("" if event is None else f"event={event}")
    # In this order: an exchange that begins after the files were listed has its new file not among them.
    there = set(paths)
    gone = {old for exchange in exchanges(storage) if exchange.new in there for old in exchange.old}
    return _data_files(path for path in sorted(there - gone))


def _data_files(paths: Iterable[str]) -> list[DataFile]:
    return [file for path in paths if (file := DataFile.at(path)) is not None]
