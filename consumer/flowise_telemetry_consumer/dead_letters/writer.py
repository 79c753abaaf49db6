"""Writing dead letters so that none is lost: one that is not acknowledged is sent again, or stops the consumer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flowise_telemetry_consumer.clock import Clock
from flowise_telemetry_consumer.dead_letter import DeadLetter
from flowise_telemetry_consumer.dead_letters.headers import decode_source, encode
from flowise_telemetry_consumer.errors import DeadLetterRefusedError, DeadLetterUnavailableError
from flowise_telemetry_transport.acknowledged import AcknowledgedBatch, RecordRefusedError, UnacknowledgedError
from flowise_telemetry_transport.clients import open_writer
from flowise_telemetry_transport.errors import MessageTooLargeError
from flowise_telemetry_transport.ports import RecordWriter
from flowise_telemetry_transport.settings import KafkaSettings
from flowise_telemetry_transport.topics import MAX_DEAD_LETTER_BYTES
from flowise_telemetry_transport.types import OutgoingRecord

__all__ = [
    "MAX_DEAD_LETTER_BYTES",
    "DeadLetterBatch",
    "DeadLetterQueue",
    "open_dead_letter_writer",
]


def open_dead_letter_writer(
    settings: KafkaSettings, *, open_writer: Callable[..., RecordWriter] = open_writer
) -> RecordWriter:
    """Open a writer that accepts whatever the source topic accepted.

    It compresses, because a record that fits the topic's limit only compressed has to leave that way too, and has room
    for records of ``MAX_DEAD_LETTER_BYTES`` with their headers. Raises as ``open_writer``.
    """
    return open_writer(
        settings,
        client_id="flowise-telemetry-dlq",
        delivery_timeout_seconds=30.0,
        linger_ms=5,
        max_record_bytes=MAX_DEAD_LETTER_BYTES,
        buffer_bytes=4 * MAX_DEAD_LETTER_BYTES,
        compression="gzip",
    )


class DeadLetterQueue:
    """The dead-letter topic of one consumer group."""

    def __init__(self, writer: RecordWriter, *, topic: str, group: str, clock: Clock) -> None:
        self._writer = writer
        self._topic = topic
        self._group = group
        self._clock = clock

    def batch(self, letters: Sequence[DeadLetter]) -> DeadLetterBatch:
        """Return the dead letters of one batch of records, not sent yet."""
        failed_at_ms = self._clock.now_ms()
        return DeadLetterBatch(
            self._writer,
            [encode(letter, topic=self._topic, group=self._group, failed_at_ms=failed_at_ms) for letter in letters],
        )


class DeadLetterBatch:
    """Dead letters and receipts to be delivered: call ``deliver`` until it returns."""

    def __init__(self, writer: RecordWriter, records: Sequence[OutgoingRecord]) -> None:
        self._batch = AcknowledgedBatch(writer, records)

    def deliver(self, *, timeout_seconds: float) -> None:
        """Return once every record is acknowledged.

        A record whose fate is open is waited for, not sent again; one that failed is sent again by the next call.
        Raises ``DeadLetterUnavailableError`` (retryable) and ``DeadLetterRefusedError``.
        """
        try:
            self._batch.deliver(timeout_seconds=timeout_seconds)
        except RecordRefusedError as error:
            raise _refused(error) from error.cause
        except UnacknowledgedError as error:
            why = "no acknowledgement yet" if error.cause is None else error.cause.message
            raise DeadLetterUnavailableError(f"{error.count} dead letters are not written: {why}") from error


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
