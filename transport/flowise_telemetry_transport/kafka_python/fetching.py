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

from flowise_telemetry_transport.types import Record

__all__ = ["Unreadable", "mend_fetcher", "record_of"]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands for a fetched record that could not be parsed."""

    offset: int
    reason: str


def record_of(raw: Any) -> Record:
    """What a client yields that was not mended, as a record of ours."""
    timestamp_ms = -1 if raw.timestamp is None else raw.timestamp
    return Record(raw.topic, raw.partition, raw.offset, timestamp_ms, raw.key, raw.value, tuple(raw.headers or ()))


def mend_fetcher(consumer: Any) -> None:
    """Makes this consumer yield our ``Record``, ``Unreadable`` where one is broken, and no control records."""
    fetcher = getattr(consumer, "_fetcher", None)
    if fetcher is None or not hasattr(fetcher, "_unpack_message_set"):
        return
    subscriptions = fetcher._subscriptions

    def unpack(tp: Any, records: Any) -> Iterator[Any]:
        topic, partition = tp
        state = subscriptions.assignment[tp]
        yielded, last = False, None
        while (batch := records.next_batch()) is not None:
            if hasattr(batch, "base_offset"):
                last = batch.base_offset + batch.last_offset_delta
                state.last_offset_from_message_batch = last  # how the fetcher gets past a batch without records
                if batch.is_control_batch:
                    continue
            for record in _parsed(batch, state.position):
                yielded = True
                if type(record) is Unreadable:
                    yield record
                    continue
                timestamp_ms = record.timestamp
                yield Record(
                    topic,
                    partition,
                    record.offset,
                    -1 if timestamp_ms is None else timestamp_ms,
                    record.key,
                    record.value,
                    tuple(record.headers),
                )
        if last == 0 and not yielded:
            state.position = 1  # the fetcher takes a last offset of 0 for "none"

    fetcher._unpack_message_set = unpack


def _parsed(batch: Any, position: int) -> Iterator[Any]:
    """Each record of one batch, or ``Unreadable``."""
    offset = position
    if hasattr(batch, "base_offset"):
        offset = batch.base_offset
        if not batch.validate_crc():
            yield Unreadable(max(position, offset), "the checksum of its batch is wrong")
            return
    iterator = iter(batch)
    while True:
        try:
            record = next(iterator)
        except StopIteration:
            return
        except Exception as error:
            found = _skip_record(batch)
            yield Unreadable(max(position, offset) if found is None else found, str(error))
            if found is None:
                return
            offset = found + 1
        else:
            yield record
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
