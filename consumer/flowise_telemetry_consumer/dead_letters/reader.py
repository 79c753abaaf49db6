"""Read the dead-letter topic, and find the dead letters that are current.

The topic is append-only. The current dead letter of a source record is the latest one, with the highest
``dlq.redrive.count``: a failed redrive appends a dead letter that supersedes the one before, and a receipt (reason
``redriven`` or ``discarded``, no value) ends it. So a source record counts once, however often it failed; once for each
consumer group, because each group has its own sink, and a record that reached one sink may still be missing from
another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from flowise_telemetry_consumer.dead_letters.headers import decode
from flowise_telemetry_consumer.dead_letters.letter_filter import ALL_LETTERS, LetterFilter
from flowise_telemetry_consumer.dead_letters.states import DeadLetterStates
from flowise_telemetry_consumer.dead_letters.stored import StoredDeadLetter
from flowise_telemetry_consumer.reading.offset_range import OffsetRange
from flowise_telemetry_consumer.reading.range_reader import RangeReader
from flowise_telemetry_consumer.retry import RunControl
from flowise_telemetry_transport.ports import RecordReader

__all__ = ["READ_CONTROL", "UnreadLetters", "current_dead_letters", "read_dead_letters"]

READ_CONTROL = RunControl(no_progress_seconds=30.0)
"""For reads whose answer someone waits for: they give up sooner than a run that writes."""


@dataclass(slots=True)
class UnreadLetters:
    """Records of the dead-letter topic that could not be read.

    ``unreadable`` records exist, but the Kafka client cannot parse them; ``expired`` offsets were removed by retention
    while the topic was read. If the topic is read twice, the larger number of the two reads counts.
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
    offsets: OffsetRange | None = None,
    topic_id: str | None = None,
    control: RunControl = READ_CONTROL,
    unread: UnreadLetters | None = None,
) -> Iterator[StoredDeadLetter]:
    """Yield everything in the topic now (or in ``offsets``), repeats and receipts included; ``reader`` has no group.

    Records that could not be read are counted in ``unread``. ``topic_id`` is the topic's id when ``offsets`` were
    taken: with it, ``TopicChangedError`` is raised if the topic was deleted and created again since.

    Raises ``UnknownTopicError``, ``BrokerUnavailableError``, and ``IncompleteReadError`` if the end is not reached.
    """
    source = RangeReader(reader, offsets or OffsetRange.of(reader, topic), control, topic_id=topic_id)
    unread = unread if unread is not None else UnreadLetters()
    unreadable = expired = 0
    for poll in source:
        unreadable += sum(len(span.unreadable) for span in poll.spans)
        expired += sum(end - start for ranges in poll.missing.values() for start, end in ranges)
        unread.unreadable, unread.expired = max(unread.unreadable, unreadable), max(unread.expired, expired)
        for span in poll.spans:
            for record in span.records:
                yield decode(record)
    if source.incomplete is not None:
        raise source.incomplete


def current_dead_letters(
    reader: RecordReader,
    topic: str,
    *,
    chosen: LetterFilter = ALL_LETTERS,
    group: str | None = None,
    control: RunControl = READ_CONTROL,
    unread: UnreadLetters | None = None,
) -> Iterator[StoredDeadLetter]:
    """Yield the current dead letters: the latest of each source record that no receipt ended. Reads the topic twice.

    ``chosen`` and ``group`` select. Raises as ``read_dead_letters``.
    """
    offsets = OffsetRange.of(reader, topic)

    def letters() -> Iterator[StoredDeadLetter]:
        return read_dead_letters(reader, topic, offsets=offsets, control=control, unread=unread)

    with DeadLetterStates() as states:
        for letter in letters():
            states.add(letter)
        for letter in letters():
            if (
                chosen.admits(letter)
                and (group is None or letter.identity.group == group)
                and states.is_current(letter)
            ):
                yield letter
