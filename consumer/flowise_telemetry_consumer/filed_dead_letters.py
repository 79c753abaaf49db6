"""Looking into the dead-letter topic.

The topic is only ever appended to. What became of a record is told by the latest of its letters, the one with the
highest ``dlq.redrive.count``: a letter of a failed redrive takes the place of the one before, and a receipt (reason
``redriven``, no value) ends it. So each record counts once, however often it failed and was written about.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Self

from flowise_telemetry_consumer.clock import Clock, SystemClock
from flowise_telemetry_consumer.topic_range import IncompleteReadError, RangeReader, TopicRange
from flowise_telemetry_transport.ports import RecordReader
from flowise_telemetry_transport.types import Record

__all__ = [
    "REDRIVEN",
    "DeadLetterGroup",
    "DeadLetterStates",
    "DeadLetterSummary",
    "FiledDeadLetter",
    "Identity",
    "current_dead_letters",
    "list_dead_letters",
    "read_dead_letters",
]

REDRIVEN = "redriven"
"""The reason of a receipt: the record is in a sink now."""

_UNKNOWN = "unknown"
_HOUR_CHARACTERS = len("2026-01-31T12")

Identity = tuple[str, int, int]
"""The record that a letter is about: topic, partition, offset."""


@dataclass(frozen=True, slots=True)
class FiledDeadLetter:
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

    @classmethod
    def of(cls, record: Record) -> Self:
        """Reads the headers; a record that is no dead letter of ours has the reason ``unknown``."""
        text = {name: value.decode("utf-8", errors="replace") for name, value in record.headers if value is not None}
        return cls(
            record=record,
            reason=text.get("dlq.reason", _UNKNOWN),
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
        )

    @property
    def source(self) -> tuple[str | None, int | None, int | None]:
        """Where the record came from: topic, partition, offset. Twice the same: the letter was written twice."""
        return self.source_topic, self.source_partition, self.source_offset

    @property
    def identity(self) -> Identity:
        """The record that it is about; of a stranger that names none, the letter itself."""
        if self.source_topic is None or self.source_partition is None or self.source_offset is None:
            return self.record.topic, self.record.partition, self.record.offset
        return self.source_topic, self.source_partition, self.source_offset

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


@dataclass(frozen=True, slots=True, order=True)
class DeadLetterGroup:
    """What dead letters that are counted together have in common; ``unknown`` where a header says nothing."""

    reason: str
    event: str
    schema: str
    hour: str

    @classmethod
    def of(cls, letter: FiledDeadLetter) -> Self:
        """The group of a letter."""
        return cls(letter.reason, letter.event or _UNKNOWN, letter.schema or _UNKNOWN, letter.hour or _UNKNOWN)


class DeadLetterStates:
    """Which letter of each record is the one that counts. Holds about 300 bytes for each record."""

    def __init__(self) -> None:
        self._letters = 0
        self._latest: dict[Identity, tuple[int, bool, int, int]] = {}

    def add(self, letter: FiledDeadLetter) -> None:
        """Takes note of a letter, in the order in which they are read."""
        self._letters += not letter.is_receipt
        rank = (letter.redrive_count, letter.is_receipt, letter.record.partition, letter.record.offset)
        known = self._latest.get(letter.identity)
        # Of two that say the same, the first: it was written by the process that then died, or by a second one.
        if known is None or rank[:2] > known[:2]:
            self._latest[letter.identity] = rank

    def counts(self, letter: FiledDeadLetter) -> bool:
        """Whether it is the letter that counts for its record: the latest, of a record that was not redriven."""
        found = self._latest[letter.identity]
        return not found[1] and found[2:] == (letter.record.partition, letter.record.offset)

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
class DeadLetterSummary:
    """How many dead letters there are: each record once, by its latest letter, and none that was redriven.

    ``by_schema``: by ``<event>.v<version>`` or fingerprint, ``unknown`` where there is none. ``repeats`` are letters of
    a record that has another: from a crash between delivery and commit, or of an earlier failure; ``redriven`` records
    are in a sink now. These are in no other count. ``oldest_ms`` is the time of the oldest record that is dead, in
    milliseconds since 1970. ``incomplete`` says why the topic's end was not reached.
    """

    topic: str
    total: int = 0
    repeats: int = 0
    redriven: int = 0
    by_reason: Counter[str] = field(default_factory=Counter)
    by_schema: Counter[str] = field(default_factory=Counter)
    by_reason_and_schema: Counter[tuple[str, str]] = field(default_factory=Counter)
    groups: Counter[DeadLetterGroup] = field(default_factory=Counter)
    oldest_ms: int | None = None
    incomplete: str | None = None


def read_dead_letters(
    reader: RecordReader,
    topic: str,
    *,
    span: TopicRange | None = None,
    no_progress_seconds: float = 30.0,
    stop: threading.Event | None = None,
    clock: Clock | None = None,
) -> Iterator[FiledDeadLetter]:
    """All that the topic holds at this moment (or ``span``), repeats and receipts too; ``reader`` has no group.

    Raises ``UnknownTopicError``, ``BrokerUnavailableError`` and, before the end is reached, ``IncompleteReadError``.
    """
    source = RangeReader(
        reader,
        span or TopicRange.of(reader, topic),
        clock=clock or SystemClock(),
        no_progress_seconds=no_progress_seconds,
    )
    for stretches in source.read(stop or threading.Event()):
        for stretch in stretches:
            for record in stretch.records:
                yield FiledDeadLetter.of(record)


def list_dead_letters(
    reader: RecordReader,
    topic: str,
    *,
    no_progress_seconds: float = 30.0,
    stop: threading.Event | None = None,
    clock: Clock | None = None,
) -> DeadLetterSummary:
    """Counts of the dead letters that the topic holds at this moment.

    Raises ``UnknownTopicError`` and ``BrokerUnavailableError``.
    """
    summary = DeadLetterSummary(topic)
    states = DeadLetterStates()
    found: dict[Identity, tuple[DeadLetterGroup, int]] = {}
    shared: dict[DeadLetterGroup, DeadLetterGroup] = {}
    try:
        for letter in read_dead_letters(reader, topic, no_progress_seconds=no_progress_seconds, stop=stop, clock=clock):
            states.add(letter)
            if states.counts(letter):
                group = DeadLetterGroup.of(letter)
                found[letter.identity] = shared.setdefault(group, group), letter.record.timestamp_ms
            elif letter.is_receipt:
                found.pop(letter.identity, None)
    except IncompleteReadError as error:
        summary.incomplete = error.message
    summary.total, summary.redriven = len(found), states.redriven
    summary.repeats = states.repeats
    for group, timestamp_ms in found.values():
        summary.groups[group] += 1
        if timestamp_ms >= 0:
            summary.oldest_ms = min(timestamp_ms, summary.oldest_ms or timestamp_ms)
    for group, count in summary.groups.items():
        summary.by_reason[group.reason] += count
        summary.by_schema[group.schema] += count
        summary.by_reason_and_schema[group.reason, group.schema] += count
    return summary


def current_dead_letters(
    reader: RecordReader,
    topic: str,
    *,
    reasons: Collection[str] = (),
    no_progress_seconds: float = 30.0,
    clock: Clock | None = None,
) -> Iterator[FiledDeadLetter]:
    """The letters that count now: of each record the latest, none that was redriven. Reads the topic twice.

    Raises as ``read_dead_letters``.
    """
    span = TopicRange.of(reader, topic)
    states = DeadLetterStates()
    for letter in read_dead_letters(reader, topic, span=span, no_progress_seconds=no_progress_seconds, clock=clock):
        states.add(letter)
    for letter in read_dead_letters(reader, topic, span=span, no_progress_seconds=no_progress_seconds, clock=clock):
        if states.counts(letter) and (not reasons or letter.reason in reasons):
            yield letter
