"""Polls that step over records which the client cannot parse."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from flowise_telemetry_consumer.clock import Clock
from flowise_telemetry_consumer.dead_letter import DeadLetter
from flowise_telemetry_transport.errors import TransportError, UnreadableRecordError
from flowise_telemetry_transport.ports import RecordReader
from flowise_telemetry_transport.types import Record, TopicPartition

__all__ = ["Polled", "SkippingReader"]

logger = logging.getLogger("flowise_telemetry.consumer")

_UNREADABLE_TRIES = 3
_FAILED_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Polled:
    """The outcome of one poll; ``unreadable`` are the records that the client could not parse."""

    records: Sequence[Record] = ()
    unreadable: Sequence[DeadLetter] = ()


class SkippingReader:
    """A reader that steps over a record that the client failed to parse three times."""

    def __init__(self, reader: RecordReader, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock
        self._tries: dict[TopicPartition, tuple[int, int]] = {}

    def poll(self, *, timeout_seconds: float, max_records: int) -> Polled:
        """Poll as ``RecordReader.poll``. Raises neither ``UnreadableRecordError`` nor retryable errors."""
        try:
            try:
                return Polled(self._reader.poll(timeout_seconds=timeout_seconds, max_records=max_records))
            except UnreadableRecordError as error:
                return self._unreadable(error)
        except TransportError as error:
            if not error.retryable:
                raise
            logger.warning("poll: %s", error.message)
            self._clock.sleep(_FAILED_POLL_SECONDS)
            return Polled()

    def _unreadable(self, error: UnreadableRecordError) -> Polled:
        if error.topic is None or error.partition is None or error.offset is None:
            raise error
        partition = TopicPartition(error.topic, error.partition)
        offset, tries = self._tries.get(partition, (error.offset, 0))
        tries = tries + 1 if offset == error.offset else 1
        self._tries[partition] = (error.offset, tries)
        if tries < _UNREADABLE_TRIES:
            return Polled()
        self._reader.seek(partition, error.offset + 1)
        del self._tries[partition]
        letter = DeadLetter.from_unreadable(error, topic=error.topic, partition=error.partition, offset=error.offset)
        return Polled(unreadable=[letter])

    def forget(self, partitions: Collection[TopicPartition]) -> None:
        """Forget failed attempts on partitions that now belong to another member."""
        for partition in partitions:
            self._tries.pop(partition, None)
