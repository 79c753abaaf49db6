"""A topic as a sink, ``kafka://topic``: for a move to another cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from flowise_telemetry_consumer.decoding.frames import wire_records
from flowise_telemetry_consumer.errors import SinkError, SinkUnavailableError
from flowise_telemetry_consumer.sinks.port import Batch, WriteResult
from flowise_telemetry_consumer.sinks.record_times import RecordTimes
from flowise_telemetry_schemas import Catalog, ConfigurationError, EventSchema
from flowise_telemetry_schemas.codec import encode
from flowise_telemetry_transport.acknowledged import AcknowledgedBatch
from flowise_telemetry_transport.clients import open_writer
from flowise_telemetry_transport.errors import TransportError
from flowise_telemetry_transport.ports import RecordWriter
from flowise_telemetry_transport.settings import KafkaSettings
from flowise_telemetry_transport.topics import MAX_UNCOMPRESSED_BYTES
from flowise_telemetry_transport.types import OutgoingRecord

__all__ = ["TOPIC_SCHEME", "TopicSink", "open_topic_writer", "topic_of"]

TOPIC_SCHEME = "kafka://"


def topic_of(url: str) -> str:
    """Return the topic of ``kafka://topic``. Raises ``ConfigurationError`` for anything else."""
    topic = url.removeprefix(TOPIC_SCHEME)
    if topic == url or not topic or not all(char.isalnum() or char in "._-" for char in topic):
        raise ConfigurationError("the URL of a topic is kafka://topic, without bootstrap servers", argument="sink")
    return topic


def open_topic_writer(
    settings: KafkaSettings, *, open_writer: Callable[..., RecordWriter] = open_writer
) -> RecordWriter:
    """Open a writer that compresses: a record that fits its topic only that way has to fit the other one too.

    It takes records of up to ``MAX_UNCOMPRESSED_BYTES``, whatever the topic's limit. Raises as ``open_writer``.
    """
    return open_writer(
        settings,
        client_id="flowise-telemetry-replay",
        linger_ms=20,
        max_record_bytes=MAX_UNCOMPRESSED_BYTES,
        buffer_bytes=2 * MAX_UNCOMPRESSED_BYTES,
        compression="gzip",
    )


class TopicSink:
    """A ``Sink`` and no more: events as records of a topic, keyed by event id and dated when they occurred.

    A topic keeps no progress and cannot tell what it holds: an event that is written twice is there twice, and its
    consumers deduplicate by ``eventId``. ``times`` are the topic's bounds on the times of records. ``flush_seconds``
    bounds each wait for acknowledgements. The writer stays the caller's to close.
    """

    def __init__(
        self,
        writer: RecordWriter,
        topic: str,
        catalog: Catalog,
        *,
        times: RecordTimes | None = None,
        flush_seconds: float = 60.0,
    ) -> None:
        self.topic = topic
        self.times = times or RecordTimes()
        self._writer = writer
        self._catalog = catalog
        self._flush_seconds = flush_seconds
        self._batch: Batch | None = None
        self._encoded: Sequence[OutgoingRecord] = ()
        self._under_way: AcknowledgedBatch | None = None
        self._delivered: Sequence[OutgoingRecord] = ()

    @property
    def url(self) -> str:
        """The topic as a URL, for messages."""
        return f"{TOPIC_SCHEME}{self.topic}"

    def prepare(self, schemas: Iterable[EventSchema]) -> None:
        """Do nothing: a topic has no tables, and the first write tells whether it exists."""

    def write(self, batch: Batch) -> WriteResult:
        """Encode the events and return once all are acknowledged. Raises ``SinkError``, ``SinkUnavailableError``.

        After ``SinkUnavailableError`` the same batch may be written again: only records that failed are sent again.
        """
        if batch is not self._batch:
            self._batch, self._encoded = batch, self._encode(batch)
        self.deliver(self._encoded)
        self._batch, self._encoded = None, ()
        return WriteResult({event: frame.height for event, frame in batch.frames.items()}, {})

    def _encode(self, batch: Batch) -> Sequence[OutgoingRecord]:
        records = []
        for event, frame in sorted(batch.frames.items()):
            schema = self._catalog.latest(event)
            for record in wire_records(schema, frame):
                value = encode(schema, record)
                key = record["eventId"].encode()
                records.append(OutgoingRecord(self.topic, key, value, timestamp_ms=record["occurredAt"]))
        return records

    def deliver(self, records: Sequence[OutgoingRecord]) -> None:
        """Return once all records are acknowledged. Raises ``SinkError``, ``SinkUnavailableError``.

        After ``SinkUnavailableError``, call it again with the same object: it waits for the records that have no
        answer yet and sends those that failed, no others.
        """
        if self._under_way is None or self._delivered is not records:
            self._under_way, self._delivered = AcknowledgedBatch(self._writer, self.times.keep_within(records)), records
        try:
            self._under_way.deliver(timeout_seconds=self._flush_seconds)
        except TransportError as error:
            kind = SinkUnavailableError if error.retryable else SinkError
            raise kind(f"{self.url}: {error.message}") from error
        self._under_way = None

    def close(self) -> None:
        """Do nothing: the writer is the caller's."""
