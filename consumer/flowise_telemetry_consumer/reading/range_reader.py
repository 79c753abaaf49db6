"""The loop over a range of offsets of a topic, outside any consumer group, with each offset accounted for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from flowise_telemetry_consumer.dead_letter import DeadLetter
from flowise_telemetry_consumer.errors import IncompleteReadError, TopicChangedError
from flowise_telemetry_consumer.reading.offset_range import MissingOffsets, OffsetRange, OffsetSpan
from flowise_telemetry_consumer.reading.source import Polled, SkippingReader
from flowise_telemetry_consumer.retry import DEFAULT_CONTROL, RunControl
from flowise_telemetry_transport.errors import TransportError
from flowise_telemetry_transport.ports import RecordReader
from flowise_telemetry_transport.types import Record, TopicPartition

__all__ = ["POLL_RECORDS", "RangePoll", "RangeReader"]

_POLL_SECONDS = 0.5
_TOPIC_CHECK_SECONDS = 5.0
POLL_RECORDS = 5_000
"""Records taken by one poll, unless fewer are wanted."""


@dataclass(frozen=True, slots=True)
class RangePoll:
    """One poll of a range: a span for each partition that advanced, and the losses that it found.

    ``missing`` are offsets of the range that retention removed before they were read. Each loss is reported once, by
    the poll whose spans pass over it or by a later one; ``spans`` may be empty.
    """

    spans: Sequence[OffsetSpan] = ()
    missing: MissingOffsets = field(default_factory=dict)


class RangeReader:
    """A reader of one range: iterate over it once, then look at ``incomplete``.

    The spans of a partition are contiguous. ``positions`` are the next offsets to read, at most the range's ends.
    ``incomplete`` is None if the end was reached, else the error that says why it was not: no position advanced for
    ``control.no_progress_seconds``, ``control.stop`` was set, or a loss could not be checked.

    ``topic_id`` is the topic's id when the range was taken. With it, a recreated topic is noticed even if it has grown
    past the positions: within five seconds, and before the last span is yielded.
    """

    def __init__(
        self,
        reader: RecordReader,
        offsets: OffsetRange,
        control: RunControl = DEFAULT_CONTROL,
        *,
        topic_id: str | None = None,
        poll_records: int = POLL_RECORDS,
    ) -> None:
        self.positions = dict(offsets.starts)
        self.incomplete: IncompleteReadError | None = None
        self._reader = reader
        self._source = SkippingReader(reader, control.clock)
        self._range = offsets
        self._control = control
        self._topic_id = topic_id
        self._poll_records = poll_records
        self._jumps: list[tuple[TopicPartition, int, int]] = []

    @property
    def done(self) -> bool:
        """Return whether the whole range was read."""
        return self.positions == self._range.ends

    def __iter__(self) -> Iterator[RangePoll]:
        """Yield poll after poll until the end of the range, or until ``incomplete`` says why not.

        The end is found by position, not by counting records, because there may be gaps. Empty polls are yielded too,
        so that the caller can write a batch that is old enough. Raises ``TopicChangedError`` and errors that are not
        retryable.
        """
        try:
            yield from self._polls()
        except IncompleteReadError as error:
            self.incomplete = error

    def _polls(self) -> Iterator[RangePoll]:
        clock, topic = self._control.clock, self._range.topic
        unread = {tp: start for tp, start in self._range.starts.items() if start < self._range.ends[tp]}
        self._reader.assign(unread)
        self._reader.resume(unread)  # a reader that has read a range before may hold its partitions paused
        moved_at = checked_at = clock.monotonic()
        while not self.done:
            if self._control.stopped:
                raise IncompleteReadError(f"stopped before the end of {topic}", topic=topic)
            spans = self._spans(
                self._source.poll(timeout_seconds=_POLL_SECONDS, max_records=self._poll_records), unread
            )
            missing = self._find_missing()
            if self.done or clock.monotonic() - checked_at >= _TOPIC_CHECK_SECONDS:
                self._require_same_id()
                checked_at = clock.monotonic()
            yield RangePoll(spans, missing)
            now = clock.monotonic()
            if spans:
                moved_at = now
            elif now - moved_at >= self._control.no_progress_seconds:
                self._require_same_topic()
                raise IncompleteReadError(self._stalled(), topic=topic)

    def _stalled(self) -> str:
        first, *others = (tp for tp, end in self._range.ends.items() if self.positions[tp] < end)
        more = f" (and {len(others)} more partition{'s' if len(others) > 1 else ''})" if others else ""
        return (
            f"no records received for {self._control.no_progress_seconds:g} s"
            f" from {first.topic}[{first.partition}] at offset {self.positions[first]}{more}"
        )

    def _spans(self, polled: Polled, unread: dict[TopicPartition, int]) -> list[OffsetSpan]:
        records: dict[int, list[Record]] = {}
        for record in polled.records:
            try:
                records[record.partition].append(record)
            except KeyError:
                records[record.partition] = [record]
        spans, finished = [], []
        for tp in unread:
            span = self._span(
                tp,
                records.get(tp.partition, []),
                [letter for letter in polled.unreadable if letter.record.topic_partition == tp],
            )
            if span is not None:
                spans.append(span)
                if span.end == self._range.ends[tp]:
                    finished.append(tp)
        for tp in finished:
            del unread[tp]
        if finished:
            self._reader.pause(finished)
        return spans

    def _span(self, tp: TopicPartition, records: list[Record], unreadable: list[DeadLetter]) -> OffsetSpan | None:
        start, limit = self.positions[tp], self._range.ends[tp]
        if records:
            if records[0].offset < start:
                raise self._changed(f"offset {records[0].offset} of partition {tp.partition} came after {start - 1}")
            if records[-1].offset >= limit:
                records = [record for record in records if record.offset < limit]
        unreadable = [letter for letter in unreadable if letter.record.offset < limit]
        places = [letter.record.offset for letter in unreadable]
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
        """Count the offsets without a record, and note each jump over them for ``_find_missing``."""
        expected, gaps = start, 0
        for offset in (*offsets, end):
            if offset > expected:
                gaps += offset - expected
                self._jumps.append((tp, expected, offset))
            expected = offset + 1
        return gaps

    def _find_missing(self) -> MissingOffsets:
        """Separate jumps over offsets that retention removed from those over compacted records and markers.

        Retention removes everything before the first offset of the log, which is looked up right after a jump: later,
        it may have passed a record that compaction had removed.
        """
        if not self._jumps:
            return {}
        try:
            begins = self._reader.beginning_offsets({tp for tp, _, _ in self._jumps})
        except TransportError as error:
            if not error.retryable:
                raise
            if self.done:
                topic = self._range.topic
                raise IncompleteReadError(
                    f"{topic}: the broker did not say what retention removed: {error.message}", topic=topic
                ) from error
            return {}  # the jumps stay noted for the next poll
        missing: dict[TopicPartition, list[tuple[int, int]]] = {}
        for tp, start, end in self._jumps:
            if start < begins[tp]:
                missing.setdefault(tp, []).append((start, min(end, begins[tp])))
        self._jumps.clear()
        return missing

    def _require_same_id(self) -> None:
        if self._topic_id is None:
            return
        try:
            now = self._reader.topic_id(self._range.topic)
        except TransportError:
            return  # a second check only: offsets that go back are noticed without it
        if now is not None and now != self._topic_id:
            raise self._changed("its id has changed")

    def _require_same_topic(self) -> None:
        try:
            ends = self._reader.end_offsets(self._range.ends)
        except TransportError:
            return  # the broker is unavailable, which explains the silence
        for tp, end in ends.items():
            if end < self._range.ends[tp]:
                raise self._changed(
                    f"partition {tp.partition} ends at {end} now, not at {self._range.ends[tp]} as before"
                )
        self._require_same_id()

    def _changed(self, what: str) -> TopicChangedError:
        return TopicChangedError(
            f"topic {self._range.topic} was deleted and created again while it was read: {what}",
            topic=self._range.topic,
        )
