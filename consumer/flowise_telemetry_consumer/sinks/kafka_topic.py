"""A topic as a place to write to: ``kafka://topic``, for moving to another cluster."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import polars as pl

from flowise_telemetry_consumer.errors import SinkError, SinkUnavailableError
from flowise_telemetry_consumer.sinks.port import Batch, Sink, SourceProgress, WriteResult
from flowise_telemetry_schemas import Catalog, ConfigurationError, EventSchema, Field, TelemetryError
from flowise_telemetry_schemas.codec import encode
from flowise_telemetry_transport.errors import BufferFullError, TransportError
from flowise_telemetry_transport.ports import RecordWriter
from flowise_telemetry_transport.types import Delivery, OnDelivery, OutgoingRecord, TopicPartition

__all__ = ["TOPIC_SCHEME", "TopicSink", "topic_of"]

TOPIC_SCHEME = "kafka://"

_FLUSH_SECONDS = 60.0


def topic_of(url: str) -> str:
    """The topic of ``kafka://topic``. Raises ``ConfigurationError`` for anything else."""
    topic = url.removeprefix(TOPIC_SCHEME)
    if topic == url or not topic or not all(char.isalnum() or char in "._-" for char in topic):
        raise ConfigurationError(
            "the URL of a topic is kafka://topic; the servers are an option (--sink-bootstrap-servers)"
        )
    return topic


class TopicSink:
    """Events as records of a topic, keyed by their ids and dated when they occurred.

    A topic cannot tell what it holds: what is written twice is there twice, with the same ``eventId``, and a consumer
    of it keeps the one. It keeps no progress, either.
    """

    def __init__(self, writer: RecordWriter, topic: str, catalog: Catalog) -> None:
        self.topic = topic
        self._writer = writer
        self._catalog = catalog
        self._batch: Batch | None = None
        self._encoded: Sequence[OutgoingRecord] = ()
        self._consignment: _Consignment | None = None

    @property
    def url(self) -> str:
        """The address."""
        return f"{TOPIC_SCHEME}{self.topic}"

    def prepare(self, schemas: Iterable[EventSchema]) -> None:
        """Nothing: the topic is there, or the first write says that it is not."""

    def write(self, batch: Batch) -> WriteResult:
        """Encodes the events and returns when all are acknowledged. Raises ``SinkError``, ``SinkUnavailableError``.

        After ``SinkUnavailableError`` the same batch may be written again, which sends only what is not there.
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
            times = frame["occurred_at"].dt.epoch("ms").to_list()
            for row, time_ms in zip(frame.iter_rows(named=True), times, strict=True):
                value = encode(schema, {field.name: _on_the_wire(field, row[field.column]) for field in schema.fields})
                records.append(OutgoingRecord(self.topic, row["event_id"].encode(), value, timestamp_ms=time_ms))
        return records

    def deliver(self, records: Sequence[OutgoingRecord]) -> None:
        """Returns when all are acknowledged. Raises ``SinkError``, ``SinkUnavailableError``.

        Called again with the same object after ``SinkUnavailableError`` it waits for those that are still on their way
        and sends those that failed, no others. One that failed without an answer may be there all the same.
        """
        if self._consignment is None or self._consignment.records is not records:
            self._consignment = _Consignment(records)
        under_way = self._consignment
        under_way.take_failed_again()
        try:
            while under_way.unsent:
                record = under_way.unsent[0]
                self._send(record, partial(under_way.settle, record))
                under_way.unsent.popleft()
                under_way.sent += 1
            self._writer.flush(timeout_seconds=_FLUSH_SECONDS)
        except TransportError as error:
            raise self._told(error) from error
        if under_way.failed:
            errors = [error for _, error in under_way.failed]
            # One that no retry mends comes first.
            worst = min(errors, key=lambda error: error.retryable)
            raise self._told(worst) from worst
        if under_way.settled < under_way.sent:
            raise SinkUnavailableError(
                f"{self.url}: {under_way.sent - under_way.settled} records are not acknowledged yet"
            )
        self._consignment = None

    def _send(self, record: OutgoingRecord, done: OnDelivery) -> None:
        try:
            self._writer.send(record, done)
        except BufferFullError:
            self._writer.flush(timeout_seconds=_FLUSH_SECONDS)
            self._writer.send(record, done)

    def _told(self, error: TelemetryError) -> SinkError:
        kind = SinkUnavailableError if error.retryable else SinkError
        return kind(f"{self.url}: {error.message}")

    def claim(
        self, source: str, partitions: Iterable[TopicPartition], *, description: str = ""
    ) -> Mapping[TopicPartition, int]:
        """Nothing: a topic keeps no progress."""
        return {}

    def progress(self) -> list[SourceProgress]:
        """Nothing."""
        return []

    def lock(self, name: str) -> None:
        """Takes nothing: a topic has no locks."""

    def staging(self, name: str) -> Sink:
        """Raises ``ConfigurationError``: name another topic instead."""
        raise ConfigurationError(f"{self.url} has nothing beside it: name another topic")

    def promote(self, name: str) -> None:
        """Raises ``ConfigurationError``."""
        raise ConfigurationError(f"{self.url} cannot be swapped: let the consumers read the other topic")

    def read(self, event: str, *, batch_rows: int = 10_000) -> Iterator[pl.DataFrame]:
        """Raises ``SinkError``: a replay reads a topic."""
        raise SinkError(f"{self.url} is not read as a sink: replay --topic reads it", event=event)

    def counts(self) -> dict[str, int]:
        """Nothing: a topic does not tell."""
        return {}

    def close(self) -> None:
        """Leaves the writer open: it is the caller's."""


class _Consignment:
    """Records that are delivered together, and where each stands: unsent, on its way, failed, or there.

    ``settled`` and ``failed`` are written by the thread that serves the client's callbacks, the others by the sender.
    """

    def __init__(self, records: Sequence[OutgoingRecord]) -> None:
        self.records = records
        self.unsent = deque(records)
        self.sent = 0
        self.settled = 0
        self.failed: deque[tuple[OutgoingRecord, TransportError]] = deque()

    def settle(self, record: OutgoingRecord, _delivery: Delivery | None, error: TransportError | None) -> None:
        """What became of one that was sent."""
        if error is not None:
            self.failed.append((record, error))
        self.settled += 1

    def take_failed_again(self) -> None:
        """Those that failed are unsent again."""
        while self.failed:
            self.unsent.append(self.failed.popleft()[0])


def _on_the_wire(field: Field, value: Any) -> Any:
    """A value of a frame as the codec takes it."""
    if value is None:
        return None
    if field.kind == "timestamp":
        return int(value.timestamp() * 1000 + 0.5)
    if field.kind == "record":
        return {inner.name: _on_the_wire(inner, value[inner.column]) for inner in field.fields}
    if field.kind == "array" and field.items is not None:
        return [_on_the_wire(field.items, item) for item in value]
    return value
