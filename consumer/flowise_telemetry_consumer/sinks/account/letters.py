"""Rows of the dead letters' account: one for each record, the same whoever reads it and however often."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

import polars as pl

from flowise_telemetry_consumer.dead_letter import DeadLetter
from flowise_telemetry_consumer.decoding.frames import frame_of
from flowise_telemetry_consumer.sinks.account.port import KeepsAccount
from flowise_telemetry_consumer.sinks.account.tables import LETTERS_TABLE, account_schema
from flowise_telemetry_consumer.sinks.port import Batch, Sink
from flowise_telemetry_schemas.hashed_id import hashed_id
from flowise_telemetry_transport.types import Record

__all__ = ["letter_rows", "letters_for", "with_letters"]

_LAST_MS = 4_102_444_799_999
"""The end of 2099. A record may carry any time; no calendar of a sink ends before this."""


def letters_for(sink: Sink, letters: Sequence[DeadLetter]) -> pl.DataFrame | None:
    """Return the rows that a sink counts these dead letters by; None where there are none, or it does not count."""
    if not letters or not isinstance(sink, KeepsAccount):
        return None
    return letter_rows(letters, now_ms=time.time_ns() // 1_000_000)


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


def with_letters(batch: Batch) -> Batch:
    """Return a batch whose letters are one more of its frames, for sinks that add all rows alike."""
    if batch.letters is None or not batch.letters.height:
        return batch
    return replace(batch, frames={**batch.frames, LETTERS_TABLE: batch.letters}, letters=None)


def _id_of(record: Record) -> str:
    """Return the same id to everyone who reads the record.

    A topic that was made anew has the same offsets, and other times.
    """
    place = f"{record.topic}\0{record.partition}\0{record.offset}\0{record.timestamp_ms}"
    return hashed_id(place.encode(), made_ms=min(max(record.timestamp_ms, 0), _LAST_MS))
