"""A lease on writing: a new writer must list files that the previous one wrote before it deduplicates."""

from __future__ import annotations

import json
import secrets

from flowise_telemetry_consumer.errors import SinkUnavailableError
from flowise_telemetry_consumer.sinks.parquet.storage import Document, Replacement, Storage

__all__ = ["Turns"]

_PATH = "_flowise_telemetry/turn.json"
_TRIES = 5


class Turns:
    """One writer at a time has the turn: a source, with all sinks that claimed of it, or a sink without claims.

    While a turn lasts, nobody else writes. The next writer takes it, which gives it another name. In a folder a turn is
    taken and its first batch written under a lock; on object storage, which excludes nobody, a batch that was under way
    when the turn was taken may stay unseen for as long as the new turn lasts.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def current(self, writer: str) -> str | None:
        """Return the name of the turn where this writer has it."""
        return _name(self._read(), writer)

    def take(self, writer: str) -> str:
        """Take the turn; return its name. Raises ``SinkUnavailableError`` where others always come first."""
        for _ in range(_TRIES):
            before = self._read()
            if name := _name(before, writer):
                return name
            name = secrets.token_hex(8)
            data = json.dumps({"writer": writer, "turn": name}).encode()
            if self._storage.replace([Replacement(_PATH, data, before)]) == [True]:
                return name
        raise SinkUnavailableError(f"{self._storage.url}: others write at the same time")

    def _read(self) -> Document | None:
        (document,) = self._storage.read([_PATH])
        return document


def _name(document: Document | None, writer: str) -> str | None:
    if document is None:
        return None
    kept: dict[str, str] = json.loads(document.data)
    return kept["turn"] if kept["writer"] == writer else None
