"""How many dead letters there are, and of what kind."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Self

from flowise_telemetry_consumer.clock import Clock
from flowise_telemetry_consumer.dead_letters.reader import (
    UNKNOWN,
    DeadLetterKey,
    DeadLetterStates,
    StoredDeadLetter,
    UnreadLetters,
    read_dead_letters,
)
from flowise_telemetry_consumer.errors import IncompleteReadError
from flowise_telemetry_transport.ports import RecordReader

__all__ = ["DeadLetterGroup", "DeadLetterSummary", "list_dead_letters"]


@dataclass(frozen=True, slots=True, order=True)
class DeadLetterGroup:
    """What dead letters that are counted together have in common; ``unknown`` where a header says nothing."""

    reason: str
    event: str
    schema: str
    group: str
    hour: str

    @classmethod
    def of(cls, letter: StoredDeadLetter) -> Self:
        """What a letter is counted with."""
        return cls(
            letter.reason,
            letter.event or UNKNOWN,
            letter.schema or UNKNOWN,
            letter.identity.group,
            letter.hour or UNKNOWN,
        )


@dataclass(slots=True)
class DeadLetterSummary:
    """How many dead letters there are: each record once for each group, by its latest letter, none that was redriven.

    ``by_schema``: by ``<event>.v<version>`` or fingerprint, ``unknown`` where there is none. ``repeats`` are letters of
    a record that has another: from a crash between delivery and commit, or of an earlier failure; ``redriven`` records
    are in a sink now. These are in no other count. ``oldest_ms`` is the time of the oldest record that is dead, in
    milliseconds since 1970. ``incomplete`` says why the topic's end was not reached, ``unread`` what could not be read.
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
    unread: UnreadLetters = field(default_factory=UnreadLetters)


def list_dead_letters(
    reader: RecordReader,
    topic: str,
    *,
    group: str | None = None,
    no_progress_seconds: float = 30.0,
    stop: threading.Event | None = None,
    clock: Clock | None = None,
) -> DeadLetterSummary:
    """Counts of the dead letters that the topic holds at this moment; ``group``: only of those that it filed.

    Raises ``UnknownTopicError`` and ``BrokerUnavailableError``.
    """
    summary = DeadLetterSummary(topic)
    states = DeadLetterStates()
    found: dict[DeadLetterKey, tuple[DeadLetterGroup, int]] = {}
    shared: dict[DeadLetterGroup, DeadLetterGroup] = {}
    try:
        for letter in read_dead_letters(
            reader,
            topic,
            no_progress_seconds=no_progress_seconds,
            stop=stop,
            clock=clock,
            unread=summary.unread,
        ):
            if group is not None and letter.identity.group != group:
                continue
            states.add(letter)
            if states.counts(letter):
                alike = DeadLetterGroup.of(letter)
                found[letter.identity] = shared.setdefault(alike, alike), letter.record.timestamp_ms
            elif letter.is_receipt:
                found.pop(letter.identity, None)
    except IncompleteReadError as error:
        summary.incomplete = error.message
    summary.total, summary.redriven = len(found), states.redriven
    summary.repeats = states.repeats
    for alike, timestamp_ms in found.values():
        summary.groups[alike] += 1
        if timestamp_ms >= 0:
            summary.oldest_ms = min(timestamp_ms, summary.oldest_ms or timestamp_ms)
    for alike, count in summary.groups.items():
        summary.by_reason[alike.reason] += count
        summary.by_schema[alike.schema] += count
        summary.by_reason_and_schema[alike.reason, alike.schema] += count
    return summary
