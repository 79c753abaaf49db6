"""Values that were too large for the dead-letter topic, fetched from the source topic while it has them."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from types import TracebackType
from typing import Self

from flowise_telemetry_consumer.dead_letters.headers import original_headers
from flowise_telemetry_consumer.dead_letters.stored import StoredDeadLetter
from flowise_telemetry_consumer.reading.offset_range import OffsetRange
from flowise_telemetry_consumer.reading.range_reader import RangeReader
from flowise_telemetry_consumer.retry import RunControl
from flowise_telemetry_transport.errors import UnknownTopicError
from flowise_telemetry_transport.ports import RecordReader
from flowise_telemetry_transport.types import Record, TopicPartition

__all__ = ["SourceValues"]

_CLOSE_SECONDS = 5.0


class SourceValues:
    """Source records by the place that a dead letter names.

    A reader is opened for the first of them. ``close`` closes it.
    """

    def __init__(self, open_reader: Callable[[], RecordReader], control: RunControl) -> None:
        self._open_reader = open_reader
        self._control = control
        self._reader: RecordReader | None = None

    def restore(self, letter: StoredDeadLetter) -> StoredDeadLetter | None:
        """Return a dead letter that was cut with key, value and headers of its source record.

        None if it was not cut, or if the source no longer has that record: time, size and digest have to agree, as the
        topic may have been deleted and created again. Raises ``IncompleteReadError`` and what is not retryable.
        """
        if letter.cut is None or letter.source_topic is None:
            return None
        record = self._read(letter)
        if record is None or record.value is None or not _agrees(record, letter):
            return None
        ours = tuple((name, value) for name, value in letter.record.headers if name.startswith("dlq."))
        headers = original_headers(record) + ours
        whole = dataclasses.replace(letter.record, key=record.key, value=record.value, headers=headers)
        return dataclasses.replace(letter, record=whole, cut=None)

    def _read(self, letter: StoredDeadLetter) -> Record | None:
        source = letter.identity
        tp, offset = TopicPartition(source.topic, source.partition), source.offset
        if self._reader is None:
            self._reader = self._open_reader()
        try:
            whole = OffsetRange.of(self._reader, tp.topic)
        except UnknownTopicError:
            return None
        if not whole.starts.get(tp, 0) <= offset < whole.ends.get(tp, 0):
            return None
        found = RangeReader(self._reader, OffsetRange(tp.topic, {tp: offset}, {tp: offset + 1}), self._control)
        records = [record for poll in found for span in poll.spans for record in span.records]
        if found.incomplete is not None:
            raise found.incomplete
        return records[0] if records else None

    def close(self) -> None:
        """Close the reader, if one was opened."""
        if self._reader is not None:
            self._reader.close(timeout_seconds=_CLOSE_SECONDS)
            self._reader = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _agrees(record: Record, letter: StoredDeadLetter) -> bool:
    value = record.value or b""
    timestamp_ms = record.timestamp_ms if record.timestamp_ms >= 0 else None
    return (
        timestamp_ms == letter.source_timestamp_ms
        and len(value) == letter.value_bytes
        and hashlib.sha256(value).hexdigest() == letter.value_sha256
    )
