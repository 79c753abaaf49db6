"""Looking into the dead-letter topic.

The topic is only ever appended to. What became of a record is told by the latest of its letters, the one with the
highest ``dlq.redrive.count``: a letter of a failed redrive takes the place of the one before, and a receipt (reason
``redriven``, no value) ends it. So each record counts once, however often it failed and was written about; once for
each consumer group, that is, as each group has a sink of its own, and what one sink got the others still lack.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Self

from flowise_telemetry_consumer.clock import Clock, SystemClock
from flowise_telemetry_consumer.reading.offset_range import OffsetRange
from flowise_telemetry_consumer.reading.range_reader import RangeReader
from flowise_telemetry_consumer.retry import RunControl
from flowise_telemetry_transport.ports import RecordReader
from flowise_telemetry_transport.types import Record

__all__ = [
    "REDRIVEN",
    "UNKNOWN",
    "DeadLetterKey",
    "DeadLetterStates",
    "StoredDeadLetter",
    "UnreadLetters",
    "current_dead_letters",
    "read_dead_letters",
]

REDRIVEN = "redriven"
"""The reason of a receipt: the record is in a sink now."""

UNKNOWN = "unknown"
"""Stands for what no header tells, also as the name of a group."""

_HOUR_CHARACTERS = len("2026-01-31T12")


class DeadLetterKey(NamedTuple):
    """What a letter is about: a record, and the group whose sink lacks it.

    The record's time tells it from another one at the same offset of a topic that was deleted and made again; None
    where it has none.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int | None
    group: str


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """A record of the dead-letter topic with its headers read. A header that is missing or no number is None."""

    record: Record
    reason: str
    stage: str | None
    field: str | None
    error_class: str | None
    message: str | None
    schema: str | None
    group: str | None
    failed_at: str | None
    redrive_count: int
    source_topic: str | None
    source_partition: int | None
    source_offset: int | None
    source_timestamp_ms: int | None

    @classmethod
    def of(cls, record: Record) -> Self:
        """Reads the headers; a record that is no dead letter of ours has the reason ``unknown``."""
        text = {name: value.decode("utf-8", errors="replace") for name, value in record.headers if value is not None}
        return cls(
            record=record,
            reason=text.get("dlq.reason", UNKNOWN),
            stage=text.get("dlq.stage"),
            field=text.get("dlq.field"),
            error_class=text.get("dlq.error.class"),
            message=text.get("dlq.error.message"),
            schema=text.get("dlq.schema"),
            group=text.get("dlq.consumer.group"),
            failed_at=text.get("dlq.failed.at"),
            redrive_count=_number(text.get("dlq.redrive.count")) or 0,
            source_topic=text.get("dlq.source.topic"),
            source_partition=_number(text.get("dlq.source.partition")),
            source_offset=_number(text.get("dlq.source.offset")),
            source_timestamp_ms=_number(text.get("dlq.source.timestamp")),
        )

    @property
    def source(self) -> tuple[str | None, int | None, int | None]:
        """Where the record came from: topic, partition, offset. Twice the same: the letter was written twice."""
        return self.source_topic, self.source_partition, self.source_offset

    @property
    def identity(self) -> DeadLetterKey:
        """The record that it is about, and for which group; of a stranger that names no record, the letter itself."""
        group = sys.intern(self.group or UNKNOWN)  # there are few of them, and of topics: the states share them
        if self.source_topic is None or self.source_partition is None or self.source_offset is None:
            record = self.record
            timestamp_ms = record.timestamp_ms if record.timestamp_ms >= 0 else None
            return DeadLetterKey(sys.intern(record.topic), record.partition, record.offset, timestamp_ms, group)
        topic = sys.intern(self.source_topic)
        return DeadLetterKey(topic, self.source_partition, self.source_offset, self.source_timestamp_ms, group)

    @property
    def is_receipt(self) -> bool:
        """Whether it says that the record was redriven."""
        return self.reason == REDRIVEN

    @property
    def event(self) -> str | None:
        """The event that the record would have been, where a schema was found."""
        event, _, version = (self.schema or "").rpartition(".v")
        return event if event and version.isdecimal() else None

    @property
    def hour(self) -> str | None:
        """The hour in which it failed, as ``2026-01-31T12``."""
        return None if self.failed_at is None else self.failed_at[:_HOUR_CHARACTERS]


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() and len(text) < 20 else None


class DeadLetterStates:
    """Which letter of each record is the one that counts. Holds about 300 bytes for each record."""

    def __init__(self) -> None:
        self._letters = 0
        self._latest: dict[DeadLetterKey, tuple[int, bool, int, int]] = {}

    def add(self, letter: StoredDeadLetter) -> None:
        """Takes note of a letter, in the order in which they are read."""
        self._letters += not letter.is_receipt
        rank = (letter.redrive_count, letter.is_receipt, letter.record.partition, letter.record.offset)
        known = self._latest.get(letter.identity)
        # Of two that say the same, the first: it was written by the process that then died, or by a second one.
        if known is None or rank[:2] > known[:2]:
            self._latest[letter.identity] = rank

    def counts(self, letter: StoredDeadLetter) -> bool:
        """Whether it is the letter that counts for its record: the latest, of a record that was not redriven."""
        found = self._latest[letter.identity]
        return not found[1] and found[2:] == (letter.record.partition, letter.record.offset)

    @property
    def by_group(self) -> Counter[str]:
        """How many records are dead letters now, by group; 0 for a group of which all were redriven."""
        counts: Counter[str] = Counter()
        for identity, (_, receipt, _, _) in self._latest.items():
            counts[identity.group] += not receipt
        return counts

    @property
    def redriven(self) -> int:
        """How many records have a receipt."""
        return sum(receipt for _, receipt, _, _ in self._latest.values())

    @property
    def repeats(self) -> int:
        """How many letters are of a record that has another one."""
        return max(0, self._letters - len(self._latest))

    @property
    def dead(self) -> int:
        """How many records are dead letters now."""
        return len(self._latest) - self.redriven


@dataclass(slots=True)
class UnreadLetters:
    """What of the dead-letter topic could not be had.

    ``unreadable`` records are there, but the Kafka client cannot parse them; ``expired`` offsets were removed by
    retention while the topic was read. Of two reads the one that lost more counts.
    """

    unreadable: int = 0
    expired: int = 0

    def __bool__(self) -> bool:
        return self.unreadable + self.expired > 0

    def __str__(self) -> str:
        found = (
            (self.unreadable, "that the Kafka client cannot read"),
            (self.expired, "that retention removed meanwhile"),
        )
        return " and ".join(f"{count:,} {what}" for count, what in found if count)


def read_dead_letters(
    reader: RecordReader,
    topic: str,
    *,
    span: OffsetRange | None = None,
    topic_id: str | None = None,
    no_progress_seconds: float = 30.0,
    stop: threading.Event | None = None,
    clock: Clock | None = None,
    unread: UnreadLetters | None = None,
) -> Iterator[StoredDeadLetter]:
    """All that the topic holds at this moment (or ``span``), repeats and receipts too; ``reader`` has no group.

    What could not be read of it is noted in ``unread``. With ``topic_id``, the one that the topic had when the span was
    taken, ``TopicChangedError`` says that it was made again since.

    Raises ``UnknownTopicError``, ``BrokerUnavailableError`` and, before the end is reached, ``IncompleteReadError``.
    """
    source = RangeReader(
        reader,
        span or OffsetRange.of(reader, topic),
        RunControl(no_progress_seconds, stop, clock or SystemClock()),
        topic_id=topic_id,
    )
    unread = unread if unread is not None else UnreadLetters()
    unreadable = expired = 0
    for poll in source:
        unreadable += sum(len(part.unreadable) for part in poll.spans)
        expired += sum(end - start for ranges in poll.missing.values() for start, end in ranges)
        unread.unreadable, unread.expired = max(unread.unreadable, unreadable), max(unread.expired, expired)
        for part in poll.spans:
            for record in part.records:
                yield StoredDeadLetter.of(record)
    if source.incomplete is not None:
        raise source.incomplete


def current_dead_letters(
    reader: RecordReader,
    topic: str,
    *,
    reasons: Collection[str] = (),
    group: str | None = None,
    no_progress_seconds: float = 30.0,
    clock: Clock | None = None,
    unread: UnreadLetters | None = None,
) -> Iterator[StoredDeadLetter]:
    """The letters that count now: of each record the latest, none that was redriven. Reads the topic twice.

    ``group``: only those that it filed. Raises as ``read_dead_letters``.
    """
    span = OffsetRange.of(reader, topic)

    def letters() -> Iterator[StoredDeadLetter]:
        return read_dead_letters(
            reader, topic, span=span, no_progress_seconds=no_progress_seconds, clock=clock, unread=unread
        )

    states = DeadLetterStates()
    for letter in letters():
        states.add(letter)
    for letter in letters():
        if (
            states.counts(letter)
            and (not reasons or letter.reason in reasons)
            and (group is None or letter.identity.group == group)
        ):
            yield letter
