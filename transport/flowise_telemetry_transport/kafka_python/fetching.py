"""What kafka-python-ng's fetcher gets wrong, mended on one consumer.

It parses a whole fetch before it returns any of it: one record with a broken header hides all others, with no word
of which
it was; transaction markers come out as records; the checksum of v2 batches is never looked at; and it does not get past
an empty batch at offset 0. kafka-python 2.1 and later parse record by record and know transactions: nothing to mend
there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Unreadable", "mend_fetcher"]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands in a fetched record's value for a record that could not be parsed."""

    reason: str


def mend_fetcher(consumer: Any) -> None:
    """Makes this consumer yield ``Unreadable`` where a record is broken, and no control records."""
    fetcher = getattr(consumer, "_fetcher", None)
    if fetcher is None or not hasattr(fetcher, "_unpack_message_set"):
        return
    from kafka.consumer.fetcher import ConsumerRecord

    subscriptions = fetcher._subscriptions

    def record_of(tp: Any, offset: int, record: Any | None, value: Any) -> Any:
        timestamp = record.timestamp if record is not None else -1
        kind = record.timestamp_type if record is not None else 0
        key = record.key if record is not None else None
        headers = record.headers if record is not None else []
        return ConsumerRecord(tp.topic, tp.partition, offset, timestamp, kind, key, value, headers, None, -1, -1, -1)

    def unpack(tp: Any, records: Any) -> Iterator[Any]:
        state = subscriptions.assignment[tp]
        yielded, last = False, None
        while (batch := records.next_batch()) is not None:
            if hasattr(batch, "base_offset"):
                last = batch.base_offset + batch.last_offset_delta
                state.last_offset_from_message_batch = last  # how the fetcher gets past a batch without records
                if batch.is_control_batch:
                    continue
            for offset, record, value in _records_of(batch, state.position):
                yielded = True
                yield record_of(tp, offset, record, value)
        if last == 0 and not yielded:
            state.position = 1  # the fetcher takes a last offset of 0 for "none"

    fetcher._unpack_message_set = unpack


def _records_of(batch: Any, position: int) -> Iterator[tuple[int, Any | None, Any]]:
    """Offset, record (None: broken) and value or ``Unreadable`` of each record of one batch."""
    offset = position
    if hasattr(batch, "base_offset"):
        offset = batch.base_offset
        if not batch.validate_crc():
            yield max(position, offset), None, Unreadable("the checksum of its batch is wrong")
            return
    iterator = iter(batch)
    while True:
        try:
            record = next(iterator)
        except StopIteration:
            return
        except Exception as error:
            found = _skip_record(batch)
            yield (max(position, offset) if found is None else found), None, Unreadable(str(error))
            if found is None:
                return
            offset = found + 1
        else:
            yield record.offset, record, record.value
            offset = record.offset + 1


def _skip_record(batch: Any) -> int | None:
    """Moves a batch of format v2 past the record that did not parse; its offset, or None where that cannot be known."""
    from kafka.record.default_records import decode_varint

    try:
        length, start = decode_varint(batch._buffer, batch._pos)
        if length <= 0 or start + length > len(batch._buffer):
            return None
        _, position = decode_varint(batch._buffer, start)  # attributes
        _, position = decode_varint(batch._buffer, position)  # timestamp
        delta, _ = decode_varint(batch._buffer, position)
        batch._pos = start + length
        batch._next_record_index += 1
    except Exception:  # whatever is in these bytes, the answer is the same
        return None
    return int(batch.base_offset + delta)
