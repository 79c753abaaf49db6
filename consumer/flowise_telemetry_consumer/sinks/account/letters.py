"""Rows of the dead letters' account: one for each record, the same whoever reads it and however often."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import polars as pl

from flowise_telemetry_consumer.dead_letter import DeadLetter
from flowise_telemetry_consumer.decoding.frames import frame_of
from flowise_telemetry_consumer.sinks.account.tables import LETTERS_TABLE, account_schema
from flowise_telemetry_transport.types import Record

__all__ = ["letter_rows"]

_LAST_MS = 4_102_444_799_999
"""The end of 2099. A record may carry any time; no calendar of a sink ends before this."""


def letter_rows(letters: Iterable[DeadLetter], *, now_ms: int) -> pl.DataFrame:
    """Return a row for each dead letter; ``now_ms`` dates those whose record has no time."""
    records = [
        {
            "eventId": _id_of(letter.record),
            "occurredAt": letter.record.timestamp_ms if 0 <= letter.record.timestamp_ms <= _LAST_MS else now_ms,
            "reason": letter.reason,
            "topic": letter.record.topic,
            "partition": letter.record.partition,
            "recordOffset": letter.record.offset,
        }
        for letter in letters
    ]
    return frame_of(account_schema(LETTERS_TABLE), records)


def _id_of(record: Record) -> str:
    """Return an id in the form of a UUIDv7: sinks look for known ids among those of the same time.

    A range that is read again has the same ids. A topic that was made anew has the same offsets and other times.
    """
    place = f"{record.topic}\0{record.partition}\0{record.offset}\0{record.timestamp_ms}"
    digest = int.from_bytes(hashlib.sha256(place.encode()).digest()[:10], "big")
    made_ms = min(max(record.timestamp_ms, 0), _LAST_MS)
    number = made_ms << 80 | 0x7 << 76 | (digest >> 64 & 0xFFF) << 64 | 0b10 << 62 | (digest & (1 << 62) - 1)
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
