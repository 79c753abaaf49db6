"""Writing dead letters so that none is lost: one that is not acknowledged is sent again, or stops the consumer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from flowise_telemetry_consumer.clock import Clock
from flowise_telemetry_consumer.dead_letter import DeadLetter
from flowise_telemetry_consumer.dead_letters.headers import cut, decode_source, encode
from flowise_telemetry_consumer.errors import DeadLetterRefusedError, DeadLetterUnavailableError
from flowise_telemetry_transport.acknowledged import AcknowledgedBatch, RecordRefusedError, UnacknowledgedError
from flowise_telemetry_transport.clients import open_writer
from flowise_telemetry_transport.errors import MessageTooLargeError
from flowise_telemetry_transport.ports import RecordWriter
from flowise_telemetry_transport.settings import KafkaSettings
from flowise_telemetry_transport.topics import MAX_DEAD_LETTER_BYTES, MAX_UNCOMPRESSED_BYTES
from flowise_telemetry_transport.types import OutgoingRecord

__all__ = [
    "MAX_DEAD_LETTER_BYTES",
    "DeadLetterBatch",
    "DeadLetterQueue",
    "open_dead_letter_writer",
]

logger = logging.getLogger("flowise_telemetry.consumer")


def open_dead_letter_writer(
    settings: KafkaSettings, *, open_writer: Callable[..., RecordWriter] = open_writer
) -> RecordWriter:
    """Open a writer that compresses: a record that came compressed may fit the topic's limit only that way.

    It takes records of up to ``MAX_UNCOMPRESSED_BYTES``, whatever the topic's limit. Raises as ``open_writer``.
    """
    return open_writer(
        settings,
        client_id="flowise-telemetry-dlq",
        delivery_timeout_seconds=30.0,
        linger_ms=5,
        max_record_bytes=MAX_UNCOMPRESSED_BYTES,
        buffer_bytes=2 * MAX_UNCOMPRESSED_BYTES,
        compression="gzip",
    )


class DeadLetterQueue:
    """The dead-letter topic of one consumer group."""

    def __init__(self, writer: RecordWriter, *, topic: str, group: str, clock: Clock) -> None:
        self._writer = writer
        self._topic = topic
        self._group = group
        self._clock = clock
        self._told = False

    def batch(self, letters: Sequence[DeadLetter]) -> DeadLetterBatch:
        """Return the dead letters of one batch of records, not sent yet."""
        failed_at_ms = self._clock.now_ms()
        return DeadLetterBatch(
            self._writer,
            [encode(letter, topic=self._topic, group=self._group, failed_at_ms=failed_at_ms) for letter in letters],
            on_cut=self._cut,
        )

    def _cut(self, error: RecordRefusedError) -> None:
        """Warn of the first letter that was cut: whoever floods the topic does not flood the log."""
        if self._told:
            return
        self._told = True
        source, partition, offset = decode_source(error.record.headers)
        logger.warning(
            "the dead letter of %s[%s] offset %s is too large and filed without its value, as all such will be: raise"
            " max.message.bytes of topic %s to keep them whole",
            source,
            partition,
            offset,
            self._topic,
        )


class DeadLetterBatch:
    """Dead letters and receipts to be delivered: call ``deliver`` until it returns.

    A record that is too large for the topic is filed without its value, and ``on_cut`` is told; without ``on_cut`` it
    is refused.
    """

    def __init__(
        self,
        writer: RecordWriter,
        records: Sequence[OutgoingRecord],
        *,
        on_cut: Callable[[RecordRefusedError], None] | None = None,
    ) -> None:
        self._batch = AcknowledgedBatch(writer, records)
        self._on_cut = on_cut
        self._suspect: OutgoingRecord | None = None
        self._one_by_one = False

    def deliver(self, *, timeout_seconds: float) -> None:
        """Return once every record is acknowledged.

        A record whose fate is open is waited for, not sent again; one that failed is sent again by the next call.
        Raises ``DeadLetterUnavailableError`` (retryable) and ``DeadLetterRefusedError``.
        """
        try:
            while True:
                try:
                    self._deliver(timeout_seconds)
                except RecordRefusedError as error:
                    self._mend(error)
                else:
                    return
        except UnacknowledgedError as error:
            why = "no acknowledgement yet" if error.cause is None else error.cause.message
            raise DeadLetterUnavailableError(f"{error.count} dead letters are not written: {why}") from error

    def _deliver(self, timeout_seconds: float) -> None:
        if self._suspect is not None:
            self._batch.deliver(timeout_seconds=timeout_seconds, only=self._suspect)
            self._suspect, self._one_by_one = None, True
        for record in self._batch.unsent() if self._one_by_one else ():
            self._batch.deliver(timeout_seconds=timeout_seconds, only=record)
        self._batch.deliver(timeout_seconds=timeout_seconds)

    def _mend(self, error: RecordRefusedError) -> None:
        """Leave out of a record what does not fit. Raises ``DeadLetterRefusedError`` where that mends nothing.

        First it is sent alone: the client sends many at once, and the broker refuses all of them where one is too large
        or their sum is. If it fits alone, the others are sent one by one as well.
        """
        too_large = isinstance(error.cause, MessageTooLargeError)
        smaller = cut(error.record) if self._on_cut is not None and too_large else None
        if smaller is None or self._on_cut is None:
            raise _refused(error) from error.cause
        if error.record is not self._suspect and not self._one_by_one:
            self._suspect = error.record
            return
        self._suspect = None
        self._batch.replace(error.record, smaller)
        self._on_cut(error)


def _refused(error: RecordRefusedError) -> DeadLetterRefusedError:
    topic = error.record.topic
    source, partition, offset = decode_source(error.record.headers)
    mend = ""
    if isinstance(error.cause, MessageTooLargeError):
        mend = f": raise max.message.bytes of topic {topic} and start again, nothing is lost until then"
    return DeadLetterRefusedError(
        f"{topic} does not take the dead letter of {source}[{partition}] offset {offset} ({error.message}){mend}",
        topic=source,
        partition=partition,
        offset=offset,
    )
