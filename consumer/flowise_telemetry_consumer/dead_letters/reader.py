"""Read the dead-letter topic, and find the dead letters that are current.

The topic is append-only. The current dead letter of a source record is the latest one, with the highest
``dlq.redrive.count``: a failed redrive appends a dead letter that supersedes the one before, and a receipt (reason
``redriven``, no value) ends it. So a source record counts once, however often it failed; once for each consumer group,
because each group has its own sink, and a record that reached one sink may still be missing from another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from flowise_telemetry_consumer.dead_letters.headers import decode
from flowise_telemetry_consumer.dead_letters.stored import DeadLetterKey, StoredDeadLetter
from flowise_telemetry_consumer.reading.offset_range import OffsetRange
from flowise_telemetry_consumer.reading.range_reader import RangeReader
from flowise_telemetry_consumer.retry import RunControl
from flowise_telemetry_transport.ports import RecordReader

__all__ = ["READ_CONTROL", "DeadLetterStates", "UnreadLetters", "current_dead_letters", "read_dead_letters"]

READ_CONTROL = RunControl(no_progress_seconds=30.0)
"""For reads whose answer someone waits for: they give up sooner than a run that writes."""


class DeadLetterStates:
    """The current dead letter of each source record. Holds about 300 bytes per source record."""

    def __init__(self) -> None:
        self._letters = 0
        self._latest: dict[DeadLetterKey, tuple[int, bool, int, int]] = {}

    def add(self, letter: StoredDeadLetter) -> None:
        """Take a dead letter or receipt into account; call in the order in which they are read."""
        self._letters += not letter.is_receipt
        rank = (letter.redrive_count, letter.is_receipt, letter.record.partition, letter.record.offset)
        known = self._latest.get(letter.identity)
        # Of two with the same rank the first counts: the other was repeated after a crash before the commit.
        if known is None or rank[:2] > known[:2]:
            self._latest[letter.identity] = rank

    def is_current(self, letter: StoredDeadLetter) -> bool:
        """Return whether this is the latest dead letter of a source record that was not redriven."""
        found = self._latest[letter.identity]
        return not found[1] and found[2:] == (letter.record.partition, letter.record.offset)

    @property
    def by_group(self) -> Counter[str]:
        """Current dead letters by group; 0 for a group whose dead letters were all redriven."""
        counts: Counter[str] = Counter()
        for identity, (_, receipt, _, _) in self._latest.items():
            counts[identity.group] += not receipt
        return counts

    @property
    def redriven(self) -> int:
        """Number of source records that have a receipt."""
        return sum(receipt for _, receipt, _, _ in self._latest.values())

    @property
    def repeats(self) -> int:
        """Number of dead letters that another one of the same source record repeats or supersedes."""
        return max(0, self._letters - len(self._latest))

    @property
    def dead(self) -> int:
        """Number of current dead letters."""
        return len(self._latest) - self.redriven


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
    reasons: Collection[str] = (),
    group: str | None = None,
    control: RunControl = READ_CONTROL,
    unread: UnreadLetters | None = None,
) -> Iterator[StoredDeadLetter]:
    """Yield the current dead letters: the latest of each source record that was not redriven. Reads the topic twice.

    ``reasons`` and ``group`` select; empty and None select all. Raises as ``read_dead_letters``.
    """
    offsets = OffsetRange.of(reader, topic)

    def letters() -> Iterator[StoredDeadLetter]:
        return read_dead_letters(reader, topic, offsets=offsets, control=control, unread=unread)

    states = DeadLetterStates()
    for letter in letters():
        states.add(letter)
    for letter in letters():
        if (
            states.is_current(letter)
            and (not reasons or letter.reason in reasons)
            and (group is None or letter.identity.group == group)
        ):
            yield letter
