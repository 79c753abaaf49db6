"""The states of dead letters, which take no more memory the more there are."""

from __future__ import annotations

import random
import tracemalloc

from flowise_telemetry_consumer.dead_letters.states import DeadLetterStates
from flowise_telemetry_consumer.dead_letters.stored import DISCARDED, REDRIVEN, StoredDeadLetter
from flowise_telemetry_transport.types import Record
from tests.consumer.world import DLQ, TOPIC


def letter(number: int, *, count: int = 0, reason: str = "malformed", place: int | None = None) -> StoredDeadLetter:
    record = Record(DLQ, 0, number if place is None else place, 1_700_000_000_000 + number, None, None)
    return StoredDeadLetter(
        record=record,
        reason=reason,
        stage=None,
        field=None,
        error_class=None,
        message=None,
        schema=None,
        group="service",
        failed_at=None,
        redrive_count=count,
        source_topic=TOPIC,
        source_partition=number % 12,
        source_offset=number // 12,
        source_timestamp_ms=1_700_000_000_000 + number,
    )


def test_twenty_thousand_more_take_no_more_memory() -> None:
    with DeadLetterStates() as states:
        for number in range(5_000):
            states.add(letter(number))
        tracemalloc.start()
        try:
            for number in range(5_000, 25_000):
                states.add(letter(number))
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert kept < 2_000_000, "as much as the rows that are not stored yet"
        assert sum(each.count for each in states.counts().values()) == 25_000


def test_the_order_of_letters_and_receipts_does_not_matter() -> None:
    first, failed, receipt = letter(1), letter(1, count=1, place=2), letter(1, count=2, reason=REDRIVEN, place=3)
    again = letter(1, count=3, place=4)
    discarded = letter(1, count=3, reason=DISCARDED, place=5)
    history = [first, failed, receipt, again, discarded]
    for length, current in ((1, first), (2, failed), (3, None), (4, again), (5, None)):
        for seed in range(10):
            known = history[:length]
            random.Random(seed).shuffle(known)
            with DeadLetterStates() as states:
                for each in known:
                    states.add(each)
                assert [each for each in history[:length] if states.is_current(each)] == ([current] if current else [])
                assert (states.redriven, states.discarded) == ((length == 3), (length == 5))
                assert states.by_group == {"service": int(current is not None)}


def test_a_receipt_whose_letter_is_gone_still_counts() -> None:
    with DeadLetterStates() as states:
        states.add(letter(1, count=1, reason=REDRIVEN))
        assert (states.redriven, states.repeats, states.counts()) == (1, 0, {})
