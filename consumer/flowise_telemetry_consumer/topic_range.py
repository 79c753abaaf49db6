"""Reading a topic from one set of offsets to another, outside any consumer group."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from flowise_telemetry_consumer.clock import Clock
from flowise_telemetry_consumer.polling import Polled, RecordSource
from flowise_telemetry_schemas import TelemetryError
from flowise_telemetry_transport.errors import TransportError
from flowise_telemetry_transport.ports import RecordReader
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["IncompleteReadError", "RangeReader", "TopicRange"]

_POLL_SECONDS = 0.5
_POLL_RECORDS = 2_000


class IncompleteReadError(TelemetryError):
    """The end of the range was not reached: nothing came for too long, or it was told to stop."""


@dataclass(frozen=True, slots=True)
class TopicRange:
    """Offsets to read: from ``starts`` to before ``ends``, of the same partitions."""

    topic: str
    starts: Mapping[TopicPartition, int]
    ends: Mapping[TopicPartition, int]

    @classmethod
    def of(cls, reader: RecordReader, topic: str) -> Self:
        """All that the topic holds at this moment. Raises ``UnknownTopicError`` or ``BrokerUnavailableError``."""
        partitions = reader.partitions_of(topic)
        # The ends first: between the two calls retention may move the beginning past an end, never the other way round.
        ends = reader.end_offsets(partitions)
        starts = reader.beginning_offsets(partitions)
        return cls(topic, {tp: min(starts[tp], ends[tp]) for tp in partitions}, dict(ends))

    @property
    def offsets(self) -> int:
        """How many offsets there are in it; at most as many records, as there may be gaps."""
        return sum(self.ends[tp] - start for tp, start in self.starts.items())


class RangeReader:
    """Reads one range. ``positions`` are how far it is, per partition, at most the range's end."""

    def __init__(
        self, reader: RecordReader, span: TopicRange, *, clock: Clock, no_progress_seconds: float = 60.0
    ) -> None:
        self.positions = dict(span.starts)
        self._reader = reader
        self._source = RecordSource(reader, clock)
        self._span = span
        self._clock = clock
        self._no_progress_seconds = no_progress_seconds

    @property
    def done(self) -> bool:
        """Whether all is read."""
        return self.positions == self._span.ends

    def __iter__(self) -> Iterator[Polled]:
        return self.read(threading.Event())

    def read(self, stop: threading.Event) -> Iterator[Polled]:
        """The records of the range as they come, sometimes none.

        Positions and not counts of records tell the end, as there are gaps. Raises ``IncompleteReadError`` when no
        position has moved for ``no_progress_seconds``, or when ``stop`` was set.
        """
        ends = self._span.ends
        unread = {tp: start for tp, start in self._span.starts.items() if start < ends[tp]}
        self._reader.assign(unread)
        self._reader.resume(unread)  # a reader that has read a range before may hold its partitions paused
        moved_at = self._clock.monotonic()
        while not self.done:
            if stop.is_set():
                raise IncompleteReadError(f"stopped before the end of {self._span.topic}", topic=self._span.topic)
            polled = self._source.poll(timeout_seconds=_POLL_SECONDS, max_records=_POLL_RECORDS)
            before = dict(self.positions)
            self._take_positions()
            yield Polled(
                [record for record in polled.records if record.offset < ends[record.topic_partition]],
                [letter for letter in polled.unreadable if letter.record.offset < ends[letter.record.topic_partition]],
            )
            now = self._clock.monotonic()
            if self.positions != before:
                moved_at = now
            elif now - moved_at >= self._no_progress_seconds:
                raise IncompleteReadError(
                    f"{self._span.topic}: nothing came for {self._no_progress_seconds:g} s", topic=self._span.topic
                )

    def _take_positions(self) -> None:
        finished = []
        for tp in self._reader.assignment():
            end = self._span.ends[tp]
            if self.positions[tp] == end:
                continue
            try:
                self.positions[tp] = max(self.positions[tp], min(self._reader.position(tp), end))
            except TransportError as error:
                if not error.retryable:
                    raise
            if self.positions[tp] == end:
                finished.append(tp)
        if finished:
            self._reader.pause(finished)
