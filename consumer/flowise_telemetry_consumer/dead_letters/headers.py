"""Codec for the headers of the dead-letter topic: the only place that knows their names.

Values are text in UTF-8, those of a dead letter at most ``MAX_HEADER_BYTES``. A header whose value is not known is left
out.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping

from flowise_telemetry_consumer.dead_letter import DeadLetter
from flowise_telemetry_consumer.dead_letters.stored import DISCARDED, REDRIVEN, UNKNOWN, StoredDeadLetter
from flowise_telemetry_schemas.json_mapping import rfc3339
from flowise_telemetry_transport.types import Headers, OutgoingRecord, Record

__all__ = [
    "HEADERS",
    "MAX_HEADER_BYTES",
    "cut",
    "decode",
    "decode_source",
    "encode",
    "encode_receipt",
    "encode_restored",
    "original_headers",
    "with_redrive_count",
]

MAX_HEADER_BYTES = 1024

_PREFIX = "dlq."
_SOURCE_TOPIC = "dlq.source.topic"
_SOURCE_PARTITION = "dlq.source.partition"
_SOURCE_OFFSET = "dlq.source.offset"
_SOURCE_TIMESTAMP = "dlq.source.timestamp"
_REASON = "dlq.reason"
_STAGE = "dlq.stage"
_FIELD = "dlq.field"
_ERROR_CLASS = "dlq.error.class"
_ERROR_MESSAGE = "dlq.error.message"
_SCHEMA = "dlq.schema"
_GROUP = "dlq.consumer.group"
_FAILED_AT = "dlq.failed.at"
_REDRIVE_COUNT = "dlq.redrive.count"
_CUT = "dlq.cut"  # the last three: of letters that were too large for the topic alone
_VALUE_BYTES = "dlq.value.bytes"
_VALUE_SHA256 = "dlq.value.sha256"
_REDRIVEN_AT = "dlq.redriven.at"  # the last two: of receipts alone
_DISCARDED_AT = "dlq.discarded.at"

_FORMER_REASONS = {"null_value": "tombstone"}
"""Reasons as release 0.1.0 wrote them."""

HEADERS = (
    _SOURCE_TOPIC,
    _SOURCE_PARTITION,
    _SOURCE_OFFSET,
    _SOURCE_TIMESTAMP,
    _REASON,
    _STAGE,
    _FIELD,
    _ERROR_CLASS,
    _ERROR_MESSAGE,
    _SCHEMA,
    _GROUP,
    _FAILED_AT,
    _REDRIVE_COUNT,
    _CUT,
    _VALUE_BYTES,
    _VALUE_SHA256,
)
"""The headers of a dead letter, in the order in which they are written."""


def encode(letter: DeadLetter, *, topic: str, group: str, failed_at_ms: int, redrive_count: int = 0) -> OutgoingRecord:
    """Return the record for the dead-letter topic: key, value and headers unchanged, ours appended.

    Its own timestamp is ``failed_at_ms``, as retention counts from there, and as a broker refuses a time in the future;
    the source record's is in the headers. Headers that the record has under our names, of an earlier failure or put
    there by its sender, are replaced. Foreign headers keep their order, repeated names included.
    """
    record = letter.record
    timestamp_ms = record.timestamp_ms if record.timestamp_ms >= 0 else None
    texts = {
        **_source(record.topic, record.partition, record.offset, timestamp_ms),
        _REASON: letter.reason,
        _STAGE: letter.stage,
        _FIELD: letter.field,
        _ERROR_CLASS: letter.error_class,
        _ERROR_MESSAGE: letter.message,
        _SCHEMA: letter.schema,
        _GROUP: group,
        _FAILED_AT: rfc3339(failed_at_ms),
        _REDRIVE_COUNT: str(redrive_count),
    }
    foreign = tuple((name, value) for name, value in record.headers if name not in HEADERS)
    return OutgoingRecord(topic, record.key, record.value, foreign + _encoded(texts), failed_at_ms)


def cut(record: OutgoingRecord) -> OutgoingRecord | None:
    """Return a dead letter without its value, or where it has none any more without key and foreign headers too.

    The headers say what was left out, and give the value's size and SHA-256: with the place of the source record it can
    be fetched from there for as long as retention keeps it. None where there is nothing left to leave out.
    """
    texts = _texts(record.headers)
    if record.value is not None:
        told = {
            _CUT: "value",
            _VALUE_BYTES: str(len(record.value)),
            _VALUE_SHA256: hashlib.sha256(record.value).hexdigest(),
        }
        kept = tuple((name, content) for name, content in record.headers if name not in told)
        return dataclasses.replace(record, value=None, headers=kept + _encoded(told))
    ours = tuple((name, content) for name, content in record.headers if name in HEADERS and name != _CUT)
    if record.key is None and len(ours) + (_CUT in texts) == len(record.headers):
        return None
    everything = "value, key, headers" if _CUT in texts else "key, headers"
    return dataclasses.replace(record, key=None, headers=ours + _encoded({_CUT: everything}))


def encode_receipt(letter: StoredDeadLetter, *, topic: str, at_ms: int, discarded: bool = False) -> OutgoingRecord:
    """Return the receipt that ends a dead letter, as redriven or as discarded: same key and source, no value.

    Dated now and not when the event was sent, so that it outlives the dead letter in the topic's retention.
    """
    texts = {
        **_source_of(letter),
        _REASON: DISCARDED if discarded else REDRIVEN,
        _GROUP: letter.identity.group,
        _DISCARDED_AT if discarded else _REDRIVEN_AT: rfc3339(at_ms),
        _REDRIVE_COUNT: str(letter.redrive_count),
    }
    return OutgoingRecord(topic, letter.record.key, None, _exactly(texts), timestamp_ms=at_ms)


def encode_restored(letter: StoredDeadLetter, *, topic: str, at_ms: int, redrive_count: int) -> OutgoingRecord:
    """Return a dead letter once more, filed now, with a count above that of the receipt that ended it."""
    texts = {**_source_of(letter), _GROUP: letter.identity.group, _REDRIVE_COUNT: str(redrive_count)}
    kept = tuple((name, value) for name, value in letter.record.headers if name not in texts)
    return OutgoingRecord(topic, letter.record.key, letter.record.value, kept + _exactly(texts), timestamp_ms=at_ms)


def decode(record: Record) -> StoredDeadLetter:
    """Return the dead letter or receipt that a record of the topic is; raises nothing.

    A foreign record has the reason ``unknown``. Of a header that occurs twice the last one counts.
    """
    text = _texts(record.headers)
    return StoredDeadLetter(
        record=record,
        reason=_FORMER_REASONS.get(reason := text.get(_REASON, UNKNOWN), reason),
        stage=text.get(_STAGE),
        field=text.get(_FIELD),
        error_class=text.get(_ERROR_CLASS),
        message=text.get(_ERROR_MESSAGE),
        schema=text.get(_SCHEMA),
        group=text.get(_GROUP),
        failed_at=text.get(_FAILED_AT),
        redrive_count=_number(text.get(_REDRIVE_COUNT)) or 0,
        source_topic=text.get(_SOURCE_TOPIC),
        source_partition=_number(text.get(_SOURCE_PARTITION)),
        source_offset=_number(text.get(_SOURCE_OFFSET)),
        source_timestamp_ms=_number(text.get(_SOURCE_TIMESTAMP)),
        cut=text.get(_CUT),
        value_bytes=_number(text.get(_VALUE_BYTES)),
        value_sha256=text.get(_VALUE_SHA256),
    )


def decode_source(headers: Headers) -> tuple[str | None, int | None, int | None]:
    """Return topic, partition and offset of the source record that headers name."""
    text = _texts(headers)
    return text.get(_SOURCE_TOPIC), _number(text.get(_SOURCE_PARTITION)), _number(text.get(_SOURCE_OFFSET))


def original_headers(record: Record) -> Headers:
    """Return the headers that a dead letter had before it became one."""
    return tuple((name, value) for name, value in record.headers if not name.startswith(_PREFIX))


def with_redrive_count(headers: Headers, count: int) -> Headers:
    """Return the headers with ``dlq.redrive.count`` replaced, never repeated."""
    return (
        *((name, value) for name, value in headers if name != _REDRIVE_COUNT),
        (_REDRIVE_COUNT, str(count).encode()),
    )


def _source(topic: str, partition: int, offset: int, timestamp_ms: int | None) -> dict[str, str | None]:
    return {
        _SOURCE_TOPIC: topic,
        _SOURCE_PARTITION: str(partition),
        _SOURCE_OFFSET: str(offset),
        _SOURCE_TIMESTAMP: None if timestamp_ms is None else str(timestamp_ms),
    }


def _source_of(letter: StoredDeadLetter) -> dict[str, str | None]:
    source = letter.identity
    return _source(source.topic, source.partition, source.offset, source.timestamp_ms)


def _exactly(texts: Mapping[str, str | None]) -> Headers:
    """Encode without shortening: the texts have to say exactly what the dead letter says."""
    return tuple((name, text.encode()) for name, text in texts.items() if text is not None)


def _texts(headers: Headers) -> dict[str, str]:
    return {name: value.decode("utf-8", errors="replace") for name, value in headers if value is not None}


def _number(text: str | None) -> int | None:
    """Parse what ``encode`` writes: ASCII digits, at most the 19 of a 64-bit offset."""
    return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) < 20 else None


def _encoded(texts: Mapping[str, str | None]) -> Headers:
    return tuple((name, _shortened(text)) for name, text in texts.items() if text is not None)


def _shortened(text: str) -> bytes:
    """Encode to at most ``MAX_HEADER_BYTES``, cut between characters."""
    encoded = text.encode("utf-8", errors="replace")
    return encoded[:MAX_HEADER_BYTES].decode("utf-8", errors="ignore").encode("utf-8")
