"""Writing dead letters so that none is lost: what is not acknowledged is written again, or stops the consumer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flowise_telemetry_consumer.clock import Clock
from flowise_telemetry_consumer.dead_letter import DeadLetter
from flowise_telemetry_consumer.dead_letters.headers import outgoing
from flowise_telemetry_schemas import TelemetryError
from flowise_telemetry_transport.clients import open_writer
from flowise_telemetry_transport.errors import MessageTooLargeError, TransportError
from flowise_telemetry_transport.ports import RecordWriter
from flowise_telemetry_transport.settings import KafkaSettings
from flowise_telemetry_transport.topics import MAX_DEAD_LETTER_BYTES
from flowise_telemetry_transport.types import Delivery, OnDelivery, OutgoingRecord

__all__ = [
    "MAX_DEAD_LETTER_BYTES",
    "DeadLetterQueue",
    "DeadLetterRefusedError",
    "DeadLetterUnavailableError",
    "Shipment",
    "open_dead_letter_writer",
]


class DeadLetterUnavailableError(TelemetryError):
    """Dead letters are not acknowledged yet; the same call goes on with the rest (retryable)."""

    retryable = True


class DeadLetterRefusedError(TelemetryError):
    """The cluster will not take a dead letter. The consumer stops: going on would lose the record's bytes."""


def open_dead_letter_writer(
    settings: KafkaSettings, *, open_writer: Callable[..., RecordWriter] = open_writer
) -> RecordWriter:
    """A writer that takes whatever the topic took.

    Compressed, as a record over the limit that arrived compressed has to go out so; with room for one record of
    ``MAX_DEAD_LETTER_BYTES`` and its headers. Raises as ``open_writer``.
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
    """The dead-letter topic."""

    def __init__(self, writer: RecordWriter, *, topic: str, group: str, clock: Clock) -> None:
        self._writer = writer
        self._topic = topic
        self._group = group
        self._clock = clock

    def shipment(self, letters: Sequence[DeadLetter]) -> Shipment:
        """The letters of one batch, not yet sent."""
        failed_at_ms = self._clock.now_ms()
        return Shipment(
            self._writer,
            [outgoing(letter, topic=self._topic, group=self._group, failed_at_ms=failed_at_ms) for letter in letters],
            letters,
        )


class Shipment:
    """Dead letters on their way; ``deliver`` is called until it returns."""

    def __init__(self, writer: RecordWriter, records: Sequence[OutgoingRecord], letters: Sequence[DeadLetter]) -> None:
        self._writer = writer
        self._records = records
        self._letters = letters
        self._unsent = dict.fromkeys(range(len(records)))
        # Callbacks may come on a thread of the client; single dict operations are atomic.
        self._awaited: dict[int, None] = {}
        self._failed: dict[int, TransportError] = {}

    def deliver(self, *, timeout_seconds: float) -> None:
        """Returns when every letter is acknowledged.

        A letter whose fate is open is waited for, not sent again; one that failed is sent again at the next call.
        Raises ``DeadLetterUnavailableError`` (retryable) and ``DeadLetterRefusedError``.
        """
        for number in list(self._unsent):
            self._awaited[number] = None
            try:
                self._writer.send(self._records[number], self._on_delivery(number))
            except TransportError as error:
                del self._awaited[number]
                if not error.retryable:
                    raise self._refused(number, error) from error
                # What was handed over before goes on its way.
                self._writer.flush(timeout_seconds=timeout_seconds)
                raise self._unavailable(error) from error
            self._unsent.pop(number)
        if not self._awaited and not self._failed:
            return
        self._writer.flush(timeout_seconds=timeout_seconds)
        # Looked at before the failures: what fails later is awaited now.
        awaited = bool(self._awaited)
        failed = dict(self._failed)
        for number, failure in failed.items():
            if not failure.retryable:
                raise self._refused(number, failure) from failure
            del self._failed[number]
            self._unsent[number] = None
        if failed:
            latest = next(reversed(failed.values()))
            raise self._unavailable(latest) from latest
        if awaited:
            raise self._unavailable(None)

    def _on_delivery(self, number: int) -> OnDelivery:
        def done(_delivery: Delivery | None, error: TransportError | None) -> None:
            if error is not None:
                self._failed[number] = error  # before it stops being awaited: at no moment is it neither
            self._awaited.pop(number, None)

        return done

    def _unavailable(self, cause: TransportError | None) -> DeadLetterUnavailableError:
        open_letters = len(self._unsent) + len(self._awaited) + len(self._failed)
        why = cause.message if cause is not None else "no acknowledgement yet"
        return DeadLetterUnavailableError(f"{open_letters} dead letters are not written: {why}")

    def _refused(self, number: int, error: TransportError) -> DeadLetterRefusedError:
        source = self._letters[number].record
        topic = self._records[number].topic
        mend = ""
        if isinstance(error, MessageTooLargeError):
            mend = f": raise max.message.bytes of topic {topic} and start again, nothing is lost until then"
        return DeadLetterRefusedError(
            f"{topic} does not take the dead letter of {source.topic}[{source.partition}] offset {source.offset}"
            f" ({error.message}){mend}",
            topic=source.topic,
            partition=source.partition,
            offset=source.offset,
        )
