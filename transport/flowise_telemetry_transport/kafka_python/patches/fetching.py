"""kafka-python-ng 2.2.3: a fetcher that hides good records behind a broken one, and returns control records.

It parses a whole fetch before it returns any of it, so one record with a broken header hides all the others, and the
error does not say which it is. Transaction markers are returned as records (dpkp/kafka-python#1853; kafka-python-ng#135
is open). The checksum of v2 batches is never verified. It never gets past an empty batch at offset 0, because it takes
a last offset of 0 for "none". This file patches all of that, on one consumer.

Unnecessary with kafka-python 2.1.2 and later: control batches are skipped since 2.0.6 (#2499), checksums verified and
records parsed one by one since 2.1.2 (#2555).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flowise_telemetry_schemas.errors import MissingExtraError
from flowise_telemetry_transport.kafka_python.patches.unpacking import unpack_batch
from flowise_telemetry_transport.types import Record

__all__ = ["Unreadable", "mend_fetcher", "record_of", "records_of"]

_MAX_SHIFT = 63


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A fetched record that could not be parsed."""

    offset: int
    reason: str


def record_of(raw: Any, topic: str, partition: int) -> Record:
    """Convert a record that the client parsed into one of ours."""
    timestamp_ms = -1 if raw.timestamp is None else raw.timestamp
    return Record(topic, partition, raw.offset, timestamp_ms, raw.key, raw.value, tuple(raw.headers or ()))


def mend_fetcher(consumer: Any) -> None:
    """Make this consumer yield our ``Record``, ``Unreadable`` in place of a broken one, and no control records."""
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
                state.last_offset_from_message_batch = last  # takes the fetcher past a batch without records
                if batch.is_control_batch:
                    continue
            for record in records_of(batch, state.position, topic, partition):
                yielded = True
                yield record
        if last == 0 and not yielded:
            state.position = 1  # the fetcher takes a last offset of 0 for "none"

    fetcher._unpack_message_set = unpack


def records_of(batch: Any, position: int, topic: str, partition: int) -> Iterator[Record | Unreadable]:
    """Yield each record of one batch, or ``Unreadable`` in its place. Raises ``MissingExtraError``."""
    offset = position
    is_v2 = hasattr(batch, "base_offset")
    if is_v2:
        offset = batch.base_offset
        if not batch.validate_crc():
            yield Unreadable(max(position, offset), "the checksum of its batch is wrong")
            return
    try:
        unpack_batch(batch, topic, partition)
        iterator = iter(batch)  # unpacks the rest
    except MissingExtraError:
        raise
    except Exception as error:  # of whatever the codec's library raises for bytes that it did not write
        yield Unreadable(max(position, offset), f"its batch cannot be unpacked: {type(error).__name__}")
        return
    if is_v2:
        for record in _plain_records(batch, topic, partition):
            yield record
            offset = record.offset + 1
    while True:
        try:
            raw = next(iterator)
        except StopIteration:
            return
        except Exception as error:
            found = _skip_record(batch)
            yield Unreadable(max(position, offset) if found is None else found, str(error))
            if found is None:
                return
            offset = found + 1
        else:
            yield record_of(raw, topic, partition)
            offset = raw.offset + 1


def _plain_records(batch: Any, topic: str, partition: int) -> Iterator[Record]:
    """Yield the records of a v2 batch up to the first that has headers or is broken; leave the batch in front of it.

    Twice as fast as the client, which is left to parse the rest and to say what is wrong with a broken record.
    """
    data = bytes(batch._buffer)
    first_offset, first_ms = batch.base_offset, batch.first_timestamp
    appended_ms = batch.max_timestamp if batch.timestamp_type == batch.LOG_APPEND_TIME else None
    try:
        while batch._next_record_index < batch._num_records:
            size, start = _varint(data, batch._pos)
            if data[start]:
                return  # record attributes: all bits are unused so far
            delta_ms, at = _varint(data, start + 1)
            delta, at = _varint(data, at)
            key, at = _content(data, at)
            value, at = _content(data, at)
            if data[at] or at + 1 != start + size:
                return
            batch._pos = at + 1
            batch._next_record_index += 1
            timestamp_ms = first_ms + delta_ms if appended_ms is None else appended_ms
            yield Record(topic, partition, first_offset + delta, timestamp_ms, key, value)
    except (IndexError, ValueError):
        return


def _content(data: bytes, at: int) -> tuple[bytes | None, int]:
    """Return a key or a value, which may be null, and the position after it."""
    size, at = _varint(data, at)
    return (None, at) if size < 0 else (data[at : at + size], at + size)


# Not ``schemas.varint``, which is Avro's: this one mirrors the client's and is removed with the patch.
def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a zig-zag number and the position after it, as the client does, without dropping bits over 64."""
    value = data[at]
    if value > 0x7F:
        shift = 7
        value &= 0x7F
        while True:
            at += 1
            byte = data[at]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift > _MAX_SHIFT:
                raise ValueError("more than 64 bits")
    return (value >> 1) ^ -(value & 1), at + 1


def _skip_record(batch: Any) -> int | None:
    """Move a v2 batch past the record that did not parse; return its offset, or None if that cannot be known."""
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
    except Exception:  # of any class: the bytes may hold anything
        return None
    return int(batch.base_offset + delta)
