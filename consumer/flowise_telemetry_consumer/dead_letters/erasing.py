"""Dead letters of erased events: what a topic lets one do about them, and what stays until when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flowise_telemetry_consumer.dead_letters.headers import encode_receipt
from flowise_telemetry_consumer.dead_letters.letter_filter import ALL_LETTERS
from flowise_telemetry_consumer.dead_letters.settle import SettledLetters, settle
from flowise_telemetry_consumer.dead_letters.states import DeadLetterStates
from flowise_telemetry_consumer.dead_letters.stored import StoredDeadLetter
from flowise_telemetry_consumer.retry import DEFAULT_CONTROL, RunControl
from flowise_telemetry_consumer.sinks.erasures import ErasedIds
from flowise_telemetry_schemas.json_mapping import rfc3339
from flowise_telemetry_transport.ports import RecordReader, RecordWriter
from flowise_telemetry_transport.types import OutgoingRecord, Record

__all__ = ["ErasedLetters", "erase_letters", "holds_any"]


@dataclass(slots=True)
class ErasedLetters:
    """Letters that hold one of the ids: ``settled`` counts those that were current.

    ``latest_ms`` is the time of the latest of all these records, repeats and ended ones too; None if there is none.
    ``without_key`` counts those that no tombstone reaches.
    """

    settled: SettledLetters
    records: int = 0
    without_key: int = 0
    latest_ms: int | None = None

    def note(self, record: Record) -> None:
        """Count a record that holds one of the ids."""
        self.records += 1
        self.without_key += record.key is None
        self.latest_ms = max(self.latest_ms or 0, record.timestamp_ms)

    def remains(self, settings: Mapping[str, str]) -> str:
        """Return in a sentence what a topic of these settings still holds of them, and until when."""
        if not self.records:
            return "nothing: no dead letter holds one of the ids"
        policy, kept_ms = settings.get("cleanup.policy", "delete"), int(settings.get("retention.ms", -1))
        stay = "for ever"
        if "delete" in policy and kept_ms >= 0:
            until = rfc3339((self.latest_ms or 0) + kept_ms)
            stay = f"until {until}: retention removes them then, or a little later"
        if "compact" not in policy:
            return f"all {self.records:,} records, {stay}; a topic that is not compacted removes no single ones"
        rest = f"; {self.without_key:,} without a key stay {stay}" if self.without_key else ""
        return f"the records until the topic is compacted: each key has a tombstone{rest}"


def erase_letters(
    reader: RecordReader,
    writer: RecordWriter | None,
    topic: str,
    ids: ErasedIds,
    *,
    control: RunControl = DEFAULT_CONTROL,
) -> ErasedLetters:
    """End every current dead letter that holds one of the ids, by a receipt, which is a tombstone of its key.

    Letters need not be valid events: an id is looked for in the bytes of key and value. ``writer`` None: a dry run.
    Raises as ``settle.discard``.
    """
    found = ErasedLetters(SettledLetters(topic))

    def receipt(letter: StoredDeadLetter, states: DeadLetterStates, now_ms: int) -> OutgoingRecord | None:
        if letter.is_receipt or not holds_any(letter.record, ids):
            return None
        found.note(letter.record)
        if not states.is_current(letter):
            return None
        return encode_receipt(letter, topic=topic, at_ms=now_ms, discarded=True)

    found.settled = settle(reader, writer, topic, ALL_LETTERS, receipt, group=None, control=control, on_report=None)
    return found


def holds_any(record: Record, ids: ErasedIds) -> bool:
    """Tell if one of the ids stands in the key or the value, whatever the record is: Avro and JSON have it as text."""
    held = b"\0".join(part.lower() for part in (record.key, record.value) if part)
    return ids.stand_in(held)
