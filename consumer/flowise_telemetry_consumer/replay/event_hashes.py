"""Hashes of event ids, to count what a sink has already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import polars as pl

from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.sinks.erasures import Erasures
from flowise_telemetry_consumer.sinks.port import Erasable, Readable, Sink

__all__ = ["EventHashes", "erasures_of"]

_READ_ROWS = 200_000


class EventHashes:
    """Hashes of the event ids of a range or an archive, eight bytes each."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._parts: dict[str, list[pl.Series]] = {}

    def add(self, event: str, ids: pl.Series) -> None:
        """Add the ids of events."""
        self.counts[event] += len(ids)
        self._parts.setdefault(event, []).append(ids.hash())

    def repeated(self) -> Counter[str]:
        """Count the repeats within the range, by event. From then on each id is held once."""
        self._parts = {event: [pl.concat(parts).unique()] for event, parts in self._parts.items()}
        return Counter({event: self.counts[event] - len(parts[0]) for event, parts in self._parts.items()})

    def found_in(self, sink: Readable) -> Counter[str]:
        """Count the ids that the sink has, by event."""
        counts: Counter[str] = Counter()
        there = sink.counts()
        for event, (ids,) in self._parts.items():
            if there.get(event):
                held: Sequence[pl.Series] = [
                    frame["event_id"].hash() for frame in sink.read(event, batch_rows=_READ_ROWS)
                ]
                counts[event] = int(ids.is_in(pl.concat(held).implode()).sum()) if held else 0
        return counts


def erasures_of(sink: Sink | None) -> Erasures:
    """Return what was erased from a sink; nothing where it cannot be read, which is said once its events are."""
    try:
        return Erasures(tuple(sink.erasures())) if isinstance(sink, Erasable) else Erasures()
    except SinkError:
        return Erasures()
