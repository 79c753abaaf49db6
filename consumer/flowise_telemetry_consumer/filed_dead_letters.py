"""Looking into the dead-letter topic."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

from flowise_telemetry_consumer.clock import Clock, SystemClock
from flowise_telemetry_consumer.topic_range import IncompleteReadError, RangeReader, TopicRange
from flowise_telemetry_transport.ports import RecordReader
from flowise_telemetry_transport.types import Record

__all__ = ["DeadLetterSummary", "FiledDeadLetter", "list_dead_letters", "read_dead_letters"]

_UNKNOWN = "unknown"


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


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() and len(text) < 20 else None


@dataclass(slots=True)
class DeadLetterSummary:
    """How many dead letters there are. ``by_schema``: by ``<event>.v<version>``, ``unknown`` where there is none.

    ``repeats`` are letters of a record that has a letter already, from a crash between delivery and commit; they
    are in no other count. ``incomplete`` says why the topic's end was not reached.
    """

    topic: str
    total: int = 0
    repeats: int = 0
    by_reason: Counter[str] = field(default_factory=Counter)
    by_schema: Counter[str] = field(default_factory=Counter)
    by_reason_and_schema: Counter[tuple[str, str]] = field(default_factory=Counter)
    incomplete: str | None = None


def read_dead_letters(
    reader: RecordReader,
    topic: str,
    *,
    no_progress_seconds: float = 30.0,
    stop: threading.Event | None = None,
    clock: Clock | None = None,
) -> Iterator[FiledDeadLetter]:
    """All dead letters that the topic holds at this moment; ``reader`` is one without a group.

    Raises ``UnknownTopicError``, ``BrokerUnavailableError`` and, before the end is reached, ``IncompleteReadError``.
    """
    span = TopicRange.of(reader, topic)
    source = RangeReader(reader, span, clock=clock or SystemClock(), no_progress_seconds=no_progress_seconds)
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
    seen: set[tuple[str | None, int | None, int | None]] = set()
    try:
        for letter in read_dead_letters(reader, topic, no_progress_seconds=no_progress_seconds, stop=stop, clock=clock):
            if letter.source_offset is not None and letter.source in seen:
                summary.repeats += 1
                continue
            seen.add(letter.source)
            schema = letter.schema or _UNKNOWN
            summary.total += 1
            summary.by_reason[letter.reason] += 1
            summary.by_schema[schema] += 1
            summary.by_reason_and_schema[letter.reason, schema] += 1
    except IncompleteReadError as error:
        summary.incomplete = error.message
    return summary
