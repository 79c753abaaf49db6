"""The service: polls, writes batch after batch, commits what is written."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection

from flowise_telemetry_consumer.backoff import Backoff
from flowise_telemetry_consumer.batch import RecordBatch
from flowise_telemetry_consumer.clock import Clock, SystemClock
from flowise_telemetry_consumer.committer import Committer
from flowise_telemetry_consumer.dead_letter_limits import LimitWatch
from flowise_telemetry_consumer.dead_letter_queue import DeadLetterQueue
from flowise_telemetry_consumer.decoder import Decoder
from flowise_telemetry_consumer.heartbeat import Heartbeat
from flowise_telemetry_consumer.pipeline import Flight, Pipeline
from flowise_telemetry_consumer.polling import RecordSource
from flowise_telemetry_consumer.progress import OnProgress, Progress
from flowise_telemetry_consumer.settings import ConsumerSettings
from flowise_telemetry_consumer.sinks.port import Sink
from flowise_telemetry_schemas import Catalog, TelemetryError
from flowise_telemetry_transport.ports import RecordReader, RecordWriter
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["Consumer"]

logger = logging.getLogger("flowise_telemetry.consumer")

_POLL_RECORDS = 2_000


class Consumer:
    """Brings a topic into a sink: every record into the sink or the dead-letter topic, then its offset committed.

    Reader, sink and writer belong to the caller, who closes them after ``run``. A crash at any moment, a rebalance
    or an outage of sink or broker loses nothing; what is read twice for it is written once, as the sink knows its
    events. A dead letter may be written twice when the process dies between its delivery and the commit.
    """

    def __init__(
        self,
        reader: RecordReader,
        sink: Sink,
        dlq_writer: RecordWriter,
        catalog: Catalog,
        settings: ConsumerSettings | None = None,
        *,
        on_progress: OnProgress | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.settings = settings or ConsumerSettings()
        self.progress = Progress()
        self._clock = clock or SystemClock()
        self._reader = reader
        self._catalog = catalog
        self._on_progress = on_progress
        self._pipeline = Pipeline(
            Decoder(catalog),
            sink,
            source=self.settings.group,
            dead_letters=DeadLetterQueue(
                dlq_writer, topic=self.settings.dead_letter_topic, group=self.settings.group, clock=self._clock
            ),
            limits=LimitWatch(self.settings.limits),
        )
        self._source = RecordSource(reader, self._clock)
        self._committer = Committer(reader, self.progress, self._clock, timeout_seconds=self.settings.commit_seconds)
        self._heartbeat = Heartbeat(self.settings.heartbeat_file, self._clock)
        self._backoff = Backoff(
            initial_seconds=self.settings.retry_initial_seconds, max_seconds=self.settings.retry_max_seconds
        )
        self._open = RecordBatch()
        self._flight: Flight | None = None
        self._retry_at = 0.0

    def run(self, stop: threading.Event) -> Progress:
        """Consumes until ``stop`` is set, then writes and commits what is polled, within ``stop_budget_seconds``.

        Raises without committing what is in hand: ``SinkError`` and ``TransportError`` that no retry mends,
        ``DeadLetterLimitError``, ``DeadLetterRefusedError``. At the start an unavailable sink raises too.
        """
        self._pipeline.sink.prepare(list(self._catalog))
        self._heartbeat.beat()
        self._reader.subscribe([self.settings.topic], on_assigned=self._on_assigned, on_revoked=self._on_revoked)
        while not stop.is_set():
            self.turn()
        self._land_all(budget_seconds=self.settings.stop_budget_seconds)
        self._committer.commit_last(budget_seconds=self.settings.commit_seconds)
        self._drop(list(self._open.next_offsets) + (list(self._flight.batch.next_offsets) if self._flight else []))
        return self.progress

    def turn(self) -> None:
        """One round of the loop: at most one poll and one attempt at a batch. ``run`` calls it; so may a test."""
        polled = self._poll()
        now = self._clock.monotonic()
        if self._flight is None and self._open.is_due(self.settings.batch, now=now):
            self._launch()
        if self._flight is not None and now >= self._retry_at:
            self._attempt(self._flight)
        if not polled and self._flight is None and not self._open:
            self._committer.take_idle_positions()
        self._committer.commit_if_due()

    def _poll(self) -> bool:
        now = self._clock.monotonic()
        if self._flight is None:
            seconds = self._open.seconds_left(self.settings.batch, now=now)
        else:
            seconds = max(0.0, self._retry_at - now)
        room = max(1, min(_POLL_RECORDS, self.settings.batch.rows - len(self._open)))
        polled = self._source.poll(timeout_seconds=min(self.settings.poll_seconds, seconds), max_records=room)
        self._heartbeat.beat()
        now = self._clock.monotonic()
        self._open.add(polled.records, now=now)
        for letter in polled.unreadable:
            self._open.add_unreadable(letter, now=now)
        return bool(polled.records or polled.unreadable)

    def _launch(self) -> Flight:
        flight = self._flight = self._pipeline.launch(self._open)
        self._open = RecordBatch()
        return flight

    def _attempt(self, flight: Flight) -> bool:
        """Whether the batch is through; an outage is waited for with the partitions paused."""
        try:
            flight.advance(flush_seconds=self.settings.flush_seconds)
        except TelemetryError as error:
            if not error.retryable:
                raise
            self._begin_outage(error)
            return False
        self._flight = None
        self._committer.handled(flight.batch.next_offsets)
        self.progress.landed(flight)
        self._end_outage()
        self._committer.commit()
        self._report()
        return True

    def _begin_outage(self, error: TelemetryError) -> None:
        seconds = self._backoff.next_seconds()
        self._retry_at = self._clock.monotonic() + seconds
        self.progress.retries += 1
        self._reader.pause(self._reader.assignment())
        if self.progress.outage != error.message:
            logger.warning("waiting, with the partitions paused: %s", error.message)
            self.progress.outage = error.message
            self._report()

    def _end_outage(self) -> None:
        self._backoff.reset()
        self._retry_at = 0.0
        if self.progress.outage is not None:
            logger.warning("going on after an outage")
            self.progress.outage = None
            self._reader.resume(self._reader.assignment())

    def _land_all(self, *, budget_seconds: float) -> bool:
        """Brings everything in hand through, if that can be done within the budget."""
        deadline = self._clock.monotonic() + budget_seconds
        while self._flight is not None or self._open:
            if self._attempt(self._flight or self._launch()):
                continue
            if self._retry_at >= deadline:
                return False
            self._clock.sleep(max(0.0, self._retry_at - self._clock.monotonic()))
        return True

    def _on_assigned(self, partitions: Collection[TopicPartition]) -> None:
        logger.info("assigned: %s", _listed(partitions))
        if self.progress.outage is not None:
            self._reader.pause(partitions)

    def _on_revoked(self, partitions: Collection[TopicPartition]) -> None:
        # No heartbeats go out while this runs: an outage that is known already gets one try, not the whole budget.
        budget_seconds = 0.0 if self.progress.outage is not None else self.settings.revoke_budget_seconds
        self._land_all(budget_seconds=budget_seconds)
        self._committer.commit()
        self._drop(partitions)
        self._committer.forget(partitions)
        self._source.forget(partitions)
        logger.info("revoked: %s", _listed(partitions))

    def _drop(self, partitions: Collection[TopicPartition]) -> None:
        """Lets go of what was polled from these and is not through; it is not committed."""
        before = len(self._open)
        self._open = self._open.without(partitions)
        dropped = before - len(self._open)
        if self._flight is not None:
            rest = self._flight.batch.without(partitions)
            dropped += len(self._flight.batch) - len(rest)
            if len(rest) < len(self._flight.batch):
                self._flight = self._pipeline.launch(rest) if rest else None
        if dropped:
            self.progress.dropped_records += dropped
            logger.warning("%d polled records are left for whoever reads %s next", dropped, _listed(partitions))
        if self._flight is None and self.progress.outage is not None:
            self._end_outage()

    def _report(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self.progress)


def _listed(partitions: Collection[TopicPartition]) -> str:
    return ", ".join(f"{topic}[{partition}]" for topic, partition in sorted(set(partitions)))
