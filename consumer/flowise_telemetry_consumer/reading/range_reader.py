"""Reading a topic from one set of offsets to another, outside any consumer group, each offset accounted for."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from flowise_telemetry_consumer.clock import Clock
from flowise_telemetry_consumer.dead_letter import DeadLetter
from flowise_telemetry_consumer.errors import IncompleteReadError, TopicChangedError
from flowise_telemetry_consumer.reading.source import Polled, SkippingReader
from flowise_telemetry_transport.errors import TransportError
from flowise_telemetry_transport.ports import RecordReader
from flowise_telemetry_transport.types import Record, TopicPartition

__all__ = ["POLL_RECORDS", "OffsetRange", "OffsetSpan", "RangeReader"]

_POLL_SECONDS = 0.5
_TOPIC_LOOK_SECONDS = 5.0
POLL_RECORDS = 5_000
"""How many records a poll takes, unless less is wanted."""


@dataclass(frozen=True, slots=True)
class OffsetRange:
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


@dataclass(frozen=True, slots=True)
class OffsetSpan:
    """What one poll brought of one partition: all that there is from ``start`` to before ``end``.

    ``gaps`` are the offsets among them without a record: compacted away, expired, or markers of transactions. They are
    counted between the offsets of the records, so that records and gaps can be checked against the stretch.
    """

    partition: TopicPartition
    start: int
    end: int
    gaps: int
    records: Sequence[Record] = ()
    unreadable: Sequence[DeadLetter] = ()


class RangeReader:
    """Reads one range. ``positions`` are how far it is, per partition, at most the range's end.

    ``topic_id`` is the one that the topic had when the range was taken. With it a topic that was made again is noticed
    also where it has grown past the positions: within five seconds, and before the end of the range is handed out.
    ``missing`` are offsets, by partition as pairs of first and the one after the last, that retention removed before
    they were read.
    """

    def __init__(
        self,
        reader: RecordReader,
        span: OffsetRange,
        *,
        clock: Clock,
        topic_id: str | None = None,
        no_progress_seconds: float = 60.0,
        poll_records: int = POLL_RECORDS,
    ) -> None:
        self.positions = dict(span.starts)
        self.missing: dict[TopicPartition, list[tuple[int, int]]] = {}
        self._reader = reader
        self._source = SkippingReader(reader, clock)
        self._span = span
        self._clock = clock
        self._topic_id = topic_id
        self._no_progress_seconds = no_progress_seconds
        self._poll_records = poll_records
        self._jumps: list[tuple[TopicPartition, int, int]] = []

    @property
    def done(self) -> bool:
        """Whether all is read."""
        return self.positions == self._span.ends

    def __iter__(self) -> Iterator[list[OffsetSpan]]:
        return self.read(threading.Event())

    def read(self, stop: threading.Event) -> Iterator[list[OffsetSpan]]:
        """The range as it comes, in stretches that follow each other within a partition; sometimes none.

        Positions and not counts of records tell the end, as there are gaps. Raises ``IncompleteReadError`` when no
        position has moved for ``no_progress_seconds``, or when ``stop`` was set, and ``TopicChangedError``.
        """
        unread = {tp: start for tp, start in self._span.starts.items() if start < self._span.ends[tp]}
        self._reader.assign(unread)
        self._reader.resume(unread)  # a reader that has read a range before may hold its partitions paused
        moved_at = looked_at = self._clock.monotonic()
        while not self.done:
            if stop.is_set():
                raise IncompleteReadError(f"stopped before the end of {self._span.topic}", topic=self._span.topic)
            stretches = self._stretches(
                self._source.poll(timeout_seconds=_POLL_SECONDS, max_records=self._poll_records), unread
            )
            self._look_for_retention()
            if self.done or self._clock.monotonic() - looked_at >= _TOPIC_LOOK_SECONDS:
                self._require_same_id()
                looked_at = self._clock.monotonic()
            yield stretches
            now = self._clock.monotonic()
            if stretches:
                moved_at = now
            elif now - moved_at >= self._no_progress_seconds:
                self._require_same_topic()
                raise IncompleteReadError(
                    f"{self._span.topic}: nothing came for {self._no_progress_seconds:g} s", topic=self._span.topic
                )

    def _stretches(self, polled: Polled, unread: dict[TopicPartition, int]) -> list[OffsetSpan]:
        records: dict[int, list[Record]] = {}
        for record in polled.records:
            try:
                records[record.partition].append(record)
            except KeyError:
                records[record.partition] = [record]
        stretches, finished = [], []
        for tp in unread:
            found = self._stretch(
                tp,
                records.get(tp.partition, []),
                [letter for letter in polled.unreadable if letter.record.topic_partition == tp],
            )
            if found is not None:
                stretches.append(found)
                if found.end == self._span.ends[tp]:
                    finished.append(tp)
        for tp in finished:
            del unread[tp]
        if finished:
            self._reader.pause(finished)
        return stretches

    def _stretch(self, tp: TopicPartition, records: list[Record], unreadable: list[DeadLetter]) -> OffsetSpan | None:
        start, limit = self.positions[tp], self._span.ends[tp]
        places = [letter.record.offset for letter in unreadable]
        if records:
            if records[0].offset < start:
                raise self._changed(f"offset {records[0].offset} of partition {tp.partition} came after {start - 1}")
            if records[-1].offset >= limit:
                records = [record for record in records if record.offset < limit]
        unreadable = [letter for letter in unreadable if letter.record.offset < limit]
        places = [offset for offset in places if offset < limit]
        end = min(limit, max([start, *(record.offset + 1 for record in records[-1:]), *(at + 1 for at in places)]))
        end = max(end, min(limit, self._position(tp, end)))
        if end == start:
            return None
        gaps = end - start - len(records) - len(unreadable)
        if gaps:
            gaps = self._note_jumps(tp, start, sorted([*(record.offset for record in records), *places]), end)
        self.positions[tp] = end
        return OffsetSpan(tp, start, end, gaps, records, unreadable)

    def _position(self, tp: TopicPartition, known: int) -> int:
        try:
            return self._reader.position(tp)
        except TransportError as error:
            if not error.retryable:
                raise
            return known

    def _note_jumps(self, tp: TopicPartition, start: int, offsets: Sequence[int], end: int) -> int:
        """How many offsets no record has; each jump over some is looked at later."""
        expected, gaps = start, 0
        for offset in (*offsets, end):
            if offset > expected:
                gaps += offset - expected
                self._jumps.append((tp, expected, offset))
            expected = offset + 1
        return gaps

    def _look_for_retention(self) -> None:
        """Compaction and markers leave gaps, too; what retention removed is before the first offset of the log.

        Looked at at once: what was a gap of compaction may have expired a little later.
        """
        if not self._jumps:
            return
        try:
            begins = self._reader.beginning_offsets({tp for tp, _, _ in self._jumps})
        except TransportError as error:
            if not error.retryable:
                raise
            if self.done:
                topic = self._span.topic
                raise IncompleteReadError(
                    f"{topic}: what retention removed is not known: {error.message}", topic=topic
                ) from error
            return  # the jumps are kept for the next time
        for tp, start, end in self._jumps:
            if start < begins[tp]:
                self.missing.setdefault(tp, []).append((start, min(end, begins[tp])))
        self._jumps.clear()

    def _require_same_id(self) -> None:
        if self._topic_id is None:
            return
        try:
            now = self._reader.topic_id(self._span.topic)
        except TransportError:
            return  # no more than a second look
        if now is not None and now != self._topic_id:
            raise self._changed("its id is another")

    def _require_same_topic(self) -> None:
        try:
            ends = self._reader.end_offsets(self._span.ends)
        except TransportError:
            return  # away: that nothing comes is explained
        for tp, end in ends.items():
            if end < self._span.ends[tp]:
                raise self._changed(f"partition {tp.partition} ends at {end} and not at {self._span.ends[tp]} any more")
        self._require_same_id()

    def _changed(self, what: str) -> TopicChangedError:
        return TopicChangedError(
            f"topic {self._span.topic} was deleted and made again meanwhile: {what}", topic=self._span.topic
        )
