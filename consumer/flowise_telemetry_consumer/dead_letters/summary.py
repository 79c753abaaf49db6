"""Counts of the current dead letters."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Self

from flowise_telemetry_consumer.dead_letters.letter_filter import ALL_LETTERS, LetterFilter
from flowise_telemetry_consumer.dead_letters.reader import (
    READ_CONTROL,
    UnreadLetters,
    read_dead_letters,
)
from flowise_telemetry_consumer.dead_letters.states import DeadLetterStates
from flowise_telemetry_consumer.dead_letters.stored import UNKNOWN, StoredDeadLetter
from flowise_telemetry_consumer.errors import IncompleteReadError
from flowise_telemetry_consumer.retry import RunControl
from flowise_telemetry_transport.ports import RecordReader

__all__ = ["DeadLetterGroup", "DeadLetterSummary", "list_dead_letters"]


@dataclass(frozen=True, slots=True, order=True)
class DeadLetterGroup:
    """The values shared by dead letters that are counted together; ``unknown`` if a header is missing."""

    reason: str
    event: str
    schema: str
    group: str
    hour: str

    @classmethod
    def from_dead_letter(cls, letter: StoredDeadLetter) -> Self:
        """Return the group in which a dead letter is counted."""
        return cls(
            letter.reason,
            letter.event or UNKNOWN,
            letter.schema or UNKNOWN,
            letter.identity.group,
            letter.hour or UNKNOWN,
        )


@dataclass(slots=True)
class DeadLetterSummary:
    """Counts of the current dead letters: one for each source record and consumer group.

    ``by_schema``: by ``<event>.v<version>`` or fingerprint, ``unknown`` if there is neither. ``repeats`` are dead
    letters that are not current, from a crash between delivery and commit or from an earlier failure; ``redriven``
    source records have reached a sink, and ``discarded`` ones are not wanted. None of them is in any other count.
    ``oldest_ms`` is the time of the oldest current dead letter, in milliseconds since 1970. ``incomplete`` says why the
    topic's end was not reached, ``unread`` counts the records that could not be read.
    """

    topic: str
    total: int = 0
    repeats: int = 0
    redriven: int = 0
    discarded: int = 0
    by_reason: Counter[str] = field(default_factory=Counter)
    by_schema: Counter[str] = field(default_factory=Counter)
    by_reason_and_schema: Counter[tuple[str, str]] = field(default_factory=Counter)
    groups: Counter[DeadLetterGroup] = field(default_factory=Counter)
    oldest_ms: int | None = None
    incomplete: str | None = None
    unread: UnreadLetters = field(default_factory=UnreadLetters)


def list_dead_letters(
    reader: RecordReader,
    topic: str,
    *,
    chosen: LetterFilter = ALL_LETTERS,
    group: str | None = None,
    control: RunControl = READ_CONTROL,
) -> DeadLetterSummary:
    """Count the dead letters that the topic holds now, of them those ``chosen``, and those that ``group`` filed.

    Raises ``UnknownTopicError`` and ``BrokerUnavailableError``.
    """
    summary = DeadLetterSummary(topic)
    labels: dict[DeadLetterGroup, int] = {}
    with DeadLetterStates() as states:
        try:
            for letter in read_dead_letters(reader, topic, control=control, unread=summary.unread):
                if group is not None and letter.identity.group != group:
                    continue
                label = None
                if not letter.is_receipt and chosen.admits(letter):
                    label = labels.setdefault(DeadLetterGroup.from_dead_letter(letter), len(labels))
                states.add(letter, label)
        except IncompleteReadError as error:
            summary.incomplete = error.message
        counts = states.counts()
        summary.redriven, summary.discarded = states.redriven, states.discarded
        summary.repeats = states.repeats
    summary.oldest_ms = min((each.oldest_ms for each in counts.values() if each.oldest_ms is not None), default=None)
    for alike, label in labels.items():
        if label in counts:
            summary.groups[alike] = counts[label].count
    for alike, count in summary.groups.items():
        summary.by_reason[alike.reason] += count
        summary.by_schema[alike.schema] += count
        summary.by_reason_and_schema[alike.reason, alike.schema] += count
    summary.total = summary.groups.total()
    return summary
