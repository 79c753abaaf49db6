"""Decisions on dead letters that no sink takes part in: discard some, or take receipts back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from flowise_telemetry_consumer.dead_letters.headers import encode_receipt, encode_restored
from flowise_telemetry_consumer.dead_letters.letter_filter import LetterFilter
from flowise_telemetry_consumer.dead_letters.reader import UnreadLetters, read_dead_letters
from flowise_telemetry_consumer.dead_letters.states import DeadLetterStates
from flowise_telemetry_consumer.dead_letters.stored import StoredDeadLetter
from flowise_telemetry_consumer.dead_letters.writer import DeadLetterBatch
from flowise_telemetry_consumer.errors import IncompleteReadError
from flowise_telemetry_consumer.reading.batch import BatchLimits, RecordBatch
from flowise_telemetry_consumer.reading.offset_range import OffsetRange
from flowise_telemetry_consumer.retry import DEFAULT_CONTROL, RunControl, retry_until
from flowise_telemetry_transport.ports import RecordReader, RecordWriter
from flowise_telemetry_transport.types import OutgoingRecord

__all__ = ["FollowUp", "SettledLetters", "discard", "restore", "settle"]

_BATCH_LIMITS = BatchLimits(rows=5_000, size_bytes=32 * 1_048_576)
_FLUSH_SECONDS = 5.0

FollowUp = Callable[[StoredDeadLetter, DeadLetterStates, int], OutgoingRecord | None]


@dataclass(slots=True)
class SettledLetters:
    """Number of letters that were discarded or restored, by reason, of the ``there`` that could have been.

    ``incomplete`` says why the topic's end was not reached, ``unread`` how many records could not be read.
    """

    topic: str
    there: int = 0
    by_reason: Counter[str] = field(default_factory=Counter)
    incomplete: str | None = None
    unread: UnreadLetters = field(default_factory=UnreadLetters)


def discard(
    reader: RecordReader,
    writer: RecordWriter | None,
    topic: str,
    chosen: LetterFilter,
    *,
    group: str | None = None,
    control: RunControl = DEFAULT_CONTROL,
    on_report: Callable[[SettledLetters], None] | None = None,
) -> SettledLetters:
    """End the chosen dead letters: each gets a receipt with the reason ``discarded``, and counts no longer.

    Nothing is deleted: the letters stay for the topic's retention, and ``restore`` brings them back. ``writer`` None: a
    dry run. Raises ``UnknownTopicError``, ``BrokerUnavailableError`` and ``DeadLetterRefusedError``.
    """

    def receipt(letter: StoredDeadLetter, states: DeadLetterStates, now_ms: int) -> OutgoingRecord | None:
        if not states.is_current(letter):
            return None
        return encode_receipt(letter, topic=topic, at_ms=now_ms, discarded=True)

    return settle(reader, writer, topic, chosen, receipt, group=group, control=control, on_report=on_report)


def restore(
    reader: RecordReader,
    writer: RecordWriter | None,
    topic: str,
    chosen: LetterFilter,
    *,
    group: str | None = None,
    ended_since_ms: int | None = None,
    control: RunControl = DEFAULT_CONTROL,
    on_report: Callable[[SettledLetters], None] | None = None,
) -> SettledLetters:
    """Take receipts back: the chosen letters that were redriven or discarded become current again.

    Of each, the latest letter that is still in the topic is filed anew, its redrive count one above the receipt's.
    ``ended_since_ms``: only those whose receipt is not older. What a sink has already is not taken out of it.
    ``writer`` None: a dry run. Raises as ``discard``.
    """

    def anew(letter: StoredDeadLetter, states: DeadLetterStates, now_ms: int) -> OutgoingRecord | None:
        receipt = states.ended_by(letter)
        if receipt is None or (ended_since_ms is not None and receipt.at_ms < ended_since_ms):
            return None
        return encode_restored(letter, topic=topic, at_ms=now_ms, redrive_count=receipt.redrive_count + 1)

    return settle(reader, writer, topic, chosen, anew, group=group, control=control, on_report=on_report)


def settle(
    reader: RecordReader,
    writer: RecordWriter | None,
    topic: str,
    chosen: LetterFilter,
    follow_up: FollowUp,
    *,
    group: str | None,
    control: RunControl,
    on_report: Callable[[SettledLetters], None] | None,
) -> SettledLetters:
    """Write what ``follow_up`` returns for each letter that is chosen; letters without a follow-up are not there."""
    result = SettledLetters(topic)
    topic_id = reader.topic_id(topic)
    offsets = OffsetRange.of(reader, topic)

    def letters() -> Iterator[StoredDeadLetter]:
        return read_dead_letters(
            reader, topic, offsets=offsets, topic_id=topic_id, control=control, unread=result.unread
        )

    def deliver(pending: list[tuple[str, OutgoingRecord]]) -> None:
        if writer is not None and pending:
            batch = DeadLetterBatch(writer, [record for _, record in pending])
            retry_until(partial(batch.deliver, timeout_seconds=_FLUSH_SECONDS), control, what="the dead-letter topic")
        result.by_reason += Counter(reason for reason, _ in pending)
        if on_report is not None:
            on_report(result)

    pending: list[tuple[str, OutgoingRecord]] = []
    letters_pending = RecordBatch()
    with DeadLetterStates() as states:
        try:
            for letter in letters():
                states.add(letter)
            for letter in letters():
                if group is not None and letter.identity.group != group:
                    continue
                record = follow_up(letter, states, control.clock.now_ms())
                if record is None:
                    continue
                result.there += 1
                if not chosen.admits(letter):
                    continue
                pending.append((letter.reason, record))
                letters_pending.add([letter.record], now=control.clock.monotonic())
                if letters_pending.is_full(_BATCH_LIMITS):
                    deliver(pending)
                    pending, letters_pending = [], RecordBatch()
            deliver(pending)
        except IncompleteReadError as error:
            result.incomplete = error.message
    return result
