"""A dead letter as it stands in the dead-letter topic."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import NamedTuple

from flowise_telemetry_transport.types import Record

__all__ = ["DISCARDED", "REDRIVEN", "UNKNOWN", "DeadLetterKey", "StoredDeadLetter"]

REDRIVEN = "redriven"
"""The reason of a receipt: the record has reached the group's sink."""

DISCARDED = "discarded"
"""The reason of a receipt: someone decided that the record is not wanted."""

UNKNOWN = "unknown"
"""Replaces what no header says, the name of a group included."""

_HOUR_CHARACTERS = len("2026-01-31T12")


class DeadLetterKey(NamedTuple):
    """Identity of a dead letter: the source record, and the group whose sink lacks it.

    The timestamp distinguishes records at the same offset of a topic that was deleted and created again; None where
    the record has none.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int | None
    group: str


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """A record of the dead-letter topic with its headers decoded. A header that is missing or malformed is None.

    ``cut`` says what was left out because it was too large for the topic; ``value_bytes`` and ``value_sha256`` are of
    the value then.
    """

    record: Record
    reason: str
    stage: str | None
    field: str | None
    error_class: str | None
    message: str | None
    schema: str | None
    group: str | None
    failed_at: str | None
    redrive_count: int
    source_topic: str | None
    source_partition: int | None
    source_offset: int | None
    source_timestamp_ms: int | None
    cut: str | None = None
    value_bytes: int | None = None
    value_sha256: str | None = None

    @property
    def lacks_bytes(self) -> bool:
        """True where the value is not in the topic: the client could not read it, or it was too large to be filed."""
        return self.reason == "unreadable" or (self.cut is not None and self.record.value is None)

    @property
    def source(self) -> tuple[str | None, int | None, int | None]:
        """Topic, partition and offset of the source record, as far as the headers name them."""
        return self.source_topic, self.source_partition, self.source_offset

    @property
    def identity(self) -> DeadLetterKey:
        """The source record and the group; for a foreign record that names no source, the record itself."""
        group = sys.intern(self.group or UNKNOWN)  # few distinct groups and topics: DeadLetterStates shares them
        if self.source_topic is None or self.source_partition is None or self.source_offset is None:
            record = self.record
            timestamp_ms = record.timestamp_ms if record.timestamp_ms >= 0 else None
            return DeadLetterKey(sys.intern(record.topic), record.partition, record.offset, timestamp_ms, group)
        topic = sys.intern(self.source_topic)
        return DeadLetterKey(topic, self.source_partition, self.source_offset, self.source_timestamp_ms, group)

    @property
    def is_receipt(self) -> bool:
        """True for a receipt: it has no value and says that the source record was redriven or discarded."""
        return self.reason in (REDRIVEN, DISCARDED)

    @property
    def event(self) -> str | None:
        """The event that the record was meant to be, if its schema is known."""
        event, _, version = (self.schema or "").rpartition(".v")
        return event if event and version.isdecimal() else None

    @property
    def hour(self) -> str | None:
        """The hour in which it failed, as ``2026-01-31T12``."""
        return None if self.failed_at is None else self.failed_at[:_HOUR_CHARACTERS]
