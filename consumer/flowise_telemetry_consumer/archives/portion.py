"""A portion of an archive: events that keep their schemas, and what is set aside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import polars as pl

from flowise_telemetry_consumer.archives.rejects import Reject
from flowise_telemetry_consumer.decoding.row_checks import check_rows
from flowise_telemetry_consumer.sinks.port import Readable
from flowise_telemetry_schemas import EventSchema
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["PORTION_ROWS", "Archive", "Portion", "ReadableArchive", "checked_portion", "joined"]

PORTION_ROWS = 20_000
"""Rows that are checked and written together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """Rows that were read together.

    ``frames`` holds the good ones by event, ``rejects`` says what is wrong with the others. ``read`` counts both by
    event; a line of no known event is counted nowhere but in ``rejects``. ``offsets`` are where reading goes on after
    it, in an archive that can be resumed. ``done`` of ``total`` is how far that is, in bytes; both 0 where nobody
    knows.
    """

    frames: Mapping[str, pl.DataFrame]
    rejects: Sequence[Reject] = ()
    read: Counter[str] = field(default_factory=Counter)
    offsets: Mapping[TopicPartition, int] = field(default_factory=dict)
    done: int = 0
    total: int = 0


class Archive(Protocol):
    """Events of an archive, read once from beginning to end."""

    @property
    def url(self) -> str:
        """The address, for messages."""

    def counts(self) -> Mapping[str, int]:
        """Return the number of events by name, as far as it is known before they are read."""

    def portions(self, events: Sequence[str]) -> Iterator[Portion]:
        """Yield all that is there of these events. Raises ``SinkError`` where it cannot be read."""


class ReadableArchive:
    """A sink as an archive: every row is checked, and frames are joined so that small ones cost no more than large."""

    def __init__(self, sink: Readable, url: str, schemas: Mapping[str, EventSchema]) -> None:
        self._sink = sink
        self._schemas = schemas
        self.url = url

    def counts(self) -> Mapping[str, int]:
        """Return the number of rows by event."""
        return self._sink.counts()

    def portions(self, events: Sequence[str]) -> Iterator[Portion]:
        """Yield the rows of one event after the other; a reject's ``row`` counts those of its event as they come."""
        for event in events:
            first = 1
            for frame in joined(self._sink.read(event, batch_rows=PORTION_ROWS)):
                yield checked_portion(self._schemas[event], frame, self.url, first=first)
                first += frame.height


def checked_portion(schema: EventSchema, frame: pl.DataFrame, source: str, *, first: int = 1) -> Portion:
    """Return the portion of one event's frame, of which ``first`` is the number of the first row."""
    checked = check_rows(schema, frame)
    return Portion(
        frames={schema.event: checked.good} if checked.good.height else {},
        rejects=[
            Reject.of_violations(source, bad.violations, row=first + bad.number, event=schema.event)
            for bad in checked.bad
        ],
        read=Counter({schema.event: frame.height}),
    )


def joined(frames: Iterable[pl.DataFrame], rows: int = PORTION_ROWS) -> Iterator[pl.DataFrame]:
    """Yield frames of at least ``rows`` rows, but for the last: each is a transaction of a sink."""
    held: list[pl.DataFrame] = []
    for frame in frames:
        held.append(frame)
        if sum(part.height for part in held) >= rows:
            yield pl.concat(held)
            held = []
    if any(part.height for part in held):
        yield pl.concat(held)
