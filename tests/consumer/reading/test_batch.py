"""The rule that closes a batch, by rows, bytes and age, and the offsets that a batch brings."""

from __future__ import annotations

import pytest

from flowise_telemetry_consumer import BatchLimits
from flowise_telemetry_consumer.dead_letter import DeadLetter
from flowise_telemetry_consumer.reading.batch import RECORD_OVERHEAD_BYTES, RecordBatch
from flowise_telemetry_consumer.reading.offset_range import OffsetSpan
from flowise_telemetry_transport import UnreadableRecordError
from flowise_telemetry_transport.types import Record, TopicPartition
from tests.consumer.world import TOPIC, record

FIRST, SECOND = TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)


def unreadable(offset: int) -> DeadLetter:
    return DeadLetter.from_unreadable(UnreadableRecordError("no"), topic=TOPIC, partition=0, offset=offset)


def batch_of(*records: Record, now: float = 0.0) -> RecordBatch:
    batch = RecordBatch()
    batch.add(records, now=now)
    return batch


def test_a_batch_is_full_by_rows_or_by_bytes() -> None:
    batch = batch_of(record(b"12345", offset=0), record(None, offset=1))
    batch.add_unreadable(unreadable(2), now=0)
    size = 2 * RECORD_OVERHEAD_BYTES + len(b"12345") + 2 * len(b"key")
    assert (len(batch), batch.size_bytes) == (3, size)
    assert batch.is_full(BatchLimits(rows=3))
    assert not batch.is_full(BatchLimits(rows=4))
    assert batch.is_full(BatchLimits(size_bytes=size))
    assert not batch.is_full(BatchLimits(size_bytes=size + 1))


def test_age_counts_from_the_first_record() -> None:
    limits = BatchLimits(age_seconds=2)
    batch = RecordBatch()
    batch.add([], now=1)
    assert not batch.is_due(limits, now=100)
    assert batch.seconds_left(limits, now=100) == 2
    batch.add([record(b"1")], now=10)
    batch.add([record(b"2", offset=1)], now=11)
    assert (batch.seconds_left(limits, now=11), batch.is_due(limits, now=11.9)) == (1, False)
    assert (batch.seconds_left(limits, now=12), batch.is_due(limits, now=12)) == (0, True)


@pytest.mark.parametrize("wanted", [0, 1])
def test_a_span_brings_its_partition_to_its_end_whatever_is_wanted_of_it(wanted: int) -> None:
    records = [record(b"1", offset=5), record(b"2", offset=7)]
    batch = RecordBatch()
    batch.add_span(OffsetSpan(FIRST, 5, 10, 2, records, [unreadable(8)]), records[:wanted], now=3)
    assert batch.next_offsets == {FIRST: 10}
    assert (batch.records, len(batch), batch.since) == (records[:wanted], wanted + 1, 3)
    assert batch, "its offsets are to be written, though there may be no record"
    assert batch.is_due(BatchLimits(age_seconds=1), now=4)


def test_the_next_offsets_are_those_after_the_last_record_of_each_partition() -> None:
    other = Record(TOPIC, 1, 41, 0, None, None)
    batch = batch_of(record(b"1", offset=3), other, record(b"2", offset=6))
    assert batch.next_offsets == {FIRST: 7, SECOND: 42}
    rest = batch.without({FIRST})
    assert (rest.records, rest.next_offsets, rest.since) == ([other], {SECOND: 42}, 0.0)
