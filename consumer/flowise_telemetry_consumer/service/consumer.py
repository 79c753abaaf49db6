"""The service: polls, has batch after batch written, commits what is written."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from random import Random

from flowise_telemetry_consumer.clock import Clock, SystemClock
from flowise_telemetry_consumer.dead_letters.limits import LimitWatch
from flowise_telemetry_consumer.dead_letters.writer import DeadLetterQueue
from flowise_telemetry_consumer.decoding.decoder import Decoder
from flowise_telemetry_consumer.errors import FencedError
from flowise_telemetry_consumer.monitoring.counters import OnProgress, Progress
from flowise_telemetry_consumer.monitoring.partitions import PartitionMonitor
from flowise_telemetry_consumer.reading.batch import RecordBatch
from flowise_telemetry_consumer.reading.source import SkippingReader
from flowise_telemetry_consumer.retry import Backoff
from flowise_telemetry_consumer.service.committer import Committer
from flowise_telemetry_consumer.service.settings import ConsumerSettings
from flowise_telemetry_consumer.service.write_attempt import Pipeline, WriteAttempt
from flowise_telemetry_consumer.sinks.port import Sink
from flowise_telemetry_schemas import Catalog, TelemetryError
from flowise_telemetry_transport.ports import RecordReader, RecordWriter
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["Consumer"]

logger = logging.getLogger("flowise_telemetry.consumer")

_POLL_RECORDS = 2_000
_POLL_WHILE_WRITING_SECONDS = 0.05
_ONE_TRY_SECONDS = 1.0
_CLOSE_SECONDS = 10.0


class Consumer:
    """Brings a topic into a sink: every record into the sink or the dead-letter topic, then its offset committed.

    One batch is decoded and written, on a thread of the sink's own, while the next is polled; memory holds no more than
    these two. Reader and writer belong to the caller, who closes them after ``run``; the sink belongs to ``run``, which
    closes it. A crash at any moment, a rebalance or an outage of sink or broker loses nothing; what is read twice for
    it is written once, as the sink knows its events. A dead letter may be written twice when the process dies between
    its delivery and the commit.
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
        random: Random | None = None,
        sink_thread: Executor | None = None,
    ) -> None:
        self.settings = settings or ConsumerSettings()
        self._clock = clock or SystemClock()
        self.progress = Progress(polled_at=self._clock.monotonic())
        self._reader = reader
        self._catalog = catalog
        self._on_progress = on_progress
        self._sink_thread = sink_thread or ThreadPoolExecutor(1, thread_name_prefix="flowise-telemetry-sink")
        self._pipeline = Pipeline(
            Decoder(catalog),
            sink,
            source=self.settings.group,
            dead_letters=DeadLetterQueue(
                dlq_writer, topic=self.settings.dead_letter_topic, group=self.settings.group, clock=self._clock
            ),
            limits=LimitWatch(self.settings.limits),
        )
        self._source = SkippingReader(reader, self._clock)
        self._committer = Committer(reader, self.progress, self._clock, timeout_seconds=self.settings.commit_seconds)
        self._surroundings = PartitionMonitor(reader, self.progress, self._clock, topic=self.settings.topic)
        self._backoff = Backoff(
            initial_seconds=self.settings.retry_initial_seconds,
            max_seconds=self.settings.retry_max_seconds,
            random=random,
        )
        self._open = RecordBatch()
        self._flight: WriteAttempt | None = None
        self._attempt: Future[None] | None = None
        self._retry_at = 0.0
        self._unclaimed: set[TopicPartition] = set()
        self._fenced = False

    def run(self, stop: threading.Event) -> Progress:
        """Consumes until ``stop`` is set, then writes and commits what is polled, within ``stop_budget_seconds``.

        Raises without committing what is in hand: ``SinkError`` and ``TransportError`` that no retry mends,
        ``DeadLetterLimitError``, ``DeadLetterRefusedError``. At the start an unavailable sink raises too.
        """
        sink = self._pipeline.sink
        try:
            self._sink_thread.submit(sink.prepare, list(self._catalog)).result()
            self._reader.subscribe([self.settings.topic], on_assigned=self._on_assigned, on_revoked=self._on_revoked)
            while not stop.is_set():
                self.turn()
            self._land_all(budget_seconds=self.settings.stop_budget_seconds)
            self._committer.commit_last(budget_seconds=self.settings.commit_seconds)
            self._drop(self._in_hand())
        finally:
            closing = self._sink_thread.submit(sink.close)
            # A sink that hangs must not keep the caller from leaving the group.
            wait([closing], timeout=_CLOSE_SECONDS)
            self._sink_thread.shutdown(wait=closing.done())
        return self.progress

    def turn(self) -> None:
        """One round of the loop: at most one poll and one batch handed on. ``run`` calls it; so may a test."""
        if self._fenced:
            self._fenced = False
            self._reader.rejoin()
        polled = self._poll()
        self._surroundings.look()
        now = self._clock.monotonic()
        self._settle()
        if self._flight is None and self._open.is_due(self.settings.batch, now=now):
            self._launch()
        if self._flight is not None and self._attempt is None and now >= self._retry_at:
            self._start(self._flight)
            self._settle()
        if not polled and self._flight is None and not self._open:
            self._committer.take_idle_positions()
        self._committer.commit_if_due()

    def _poll(self) -> bool:
        full = self._open.is_full(self.settings.batch)
        if full and self._attempt is not None:
            # Nothing more fits. Partitions are paused only where the sink takes long: that throws away what is fetched.
            wait([self._attempt], timeout=self.settings.poll_seconds)
            if self._attempt.done():
                return False
            self._pause()
        now = self._clock.monotonic()
        if self._attempt is not None:
            seconds = 0.0 if full else _POLL_WHILE_WRITING_SECONDS
        elif self._flight is not None:
            seconds = max(0.0, self._retry_at - now)
        else:
            seconds = self._open.seconds_left(self.settings.batch, now=now)
        seconds = min(self.settings.poll_seconds, seconds)
        room = max(1, min(_POLL_RECORDS, self.settings.batch.rows - len(self._open)))
        polled = self._source.poll(timeout_seconds=seconds, max_records=room)
        now = self.progress.polled_at = self._clock.monotonic()
        self._open.add(polled.records, now=now)
        for letter in polled.unreadable:
            self._open.add_unreadable(letter, now=now)
        return bool(polled.records or polled.unreadable)

    def _launch(self) -> WriteAttempt:
        flight = self._flight = self._pipeline.launch(self._open, claim=self._unclaimed)
        self._open = RecordBatch()
        return flight

    def _start(self, flight: WriteAttempt) -> None:
        self._attempt = self._sink_thread.submit(flight.advance, flush_seconds=self.settings.flush_seconds)

    def _settle(self) -> bool:
        """Takes the outcome of the latest attempt, if there is one; whether the batch is through."""
        if self._flight is None or self._attempt is None or not self._attempt.done():
            return False
        flight, attempt, self._attempt = self._flight, self._attempt, None
        try:
            attempt.result()
        except FencedError as error:
            self._begin_anew(error)
            return False
        except TelemetryError as error:
            if not error.retryable:
                raise
            self._begin_outage(error)
            return False
        self._flight = None
        self._unclaimed -= flight.claim
        self._committer.handled(flight.batch.next_offsets)
        outcome = flight.outcome()
        self.progress.count(outcome)
        self._surroundings.count(outcome)
        self._end_outage()
        self._committer.commit()
        self._report()
        return True

    def _begin_anew(self, error: FencedError) -> None:
        """Another member has taken over what we had, or we are the other and it was too late to know."""
        logger.warning("giving up all partitions and joining the group again: %s", error.message)
        lost = self._reader.assignment() | self._in_hand()
        self._drop(lost)
        self._give_up(lost)
        self._fenced = True

    def _begin_outage(self, error: TelemetryError) -> None:
        seconds = self._backoff.next_seconds()
        self._retry_at = self._clock.monotonic() + seconds
        self.progress.retries += 1
        self._pause()
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
        if self.progress.paused:
            self.progress.paused = frozenset()
            self._reader.resume(self._reader.assignment())

    def _pause(self) -> None:
        assigned = self._reader.assignment()
        if assigned != self.progress.paused:
            self._reader.pause(assigned)
            self.progress.paused = assigned

    def _land_all(self, *, budget_seconds: float) -> bool:
        """Brings everything in hand through, if that can be done within the budget."""
        deadline = self._clock.monotonic() + budget_seconds
        tries = 0
        while self._flight is not None or self._open:
            flight = self._flight or self._launch()
            if self._attempt is None:
                if tries and self._retry_at >= deadline:
                    return False
                if tries:
                    self._clock.sleep(max(0.0, self._retry_at - self._clock.monotonic()))
                self._start(flight)
            assert self._attempt is not None  # noqa: S101 - it was started
            wait([self._attempt], timeout=max(_ONE_TRY_SECONDS, deadline - self._clock.monotonic()))
            if not self._attempt.done():
                return False
            tries = 0 if self._settle() else tries + 1
        return True

    def _on_assigned(self, partitions: Collection[TopicPartition]) -> None:
        logger.info("assigned: %s", _listed(partitions))
        self._unclaimed |= set(partitions)
        self._surroundings.assigned(partitions)
        if self.progress.paused or self.progress.outage is not None:
            self._reader.pause(partitions)
            self.progress.paused = frozenset(partitions)

    def _on_revoked(self, partitions: Collection[TopicPartition]) -> None:
        # No heartbeats go out while this runs: an outage that is known already gets one try, not the whole budget.
        budget_seconds = 0.0 if self.progress.outage is not None else self.settings.revoke_budget_seconds
        self._land_all(budget_seconds=budget_seconds)
        self._committer.commit()
        self._drop(partitions)
        self._give_up(partitions)
        self._fenced = self._fenced and not self._reader.assignment() <= set(partitions)
        logger.info("revoked: %s", _listed(partitions))

    def _give_up(self, partitions: Collection[TopicPartition]) -> None:
        self._committer.forget(partitions)
        self._source.forget(partitions)
        self._unclaimed -= set(partitions)
        self._surroundings.revoked(partitions)

    def _in_hand(self) -> frozenset[TopicPartition]:
        flying = self._flight.batch.next_offsets if self._flight is not None else ()
        return frozenset(self._open.next_offsets).union(flying)

    def _drop(self, partitions: Collection[TopicPartition]) -> None:
        """Lets go of what was polled from these and is not through; it is not committed."""
        before = len(self._open)
        self._open = self._open.without(partitions)
        dropped = before - len(self._open)
        if self._flight is not None:
            rest = self._flight.batch.without(partitions)
            dropped += len(self._flight.batch) - len(rest)
            if len(rest) < len(self._flight.batch):
                # An attempt that is writing ends as it likes: what it writes is written, and read again.
                self._flight.abandon()
                if self._attempt is not None:
                    self._attempt.cancel()
                    self._attempt = None
                self._flight = self._pipeline.launch(rest, claim=self._unclaimed - set(partitions)) if rest else None
        if dropped:
            self.progress.dropped_records += dropped
            logger.warning("%d polled records are left for whoever reads %s next", dropped, _listed(partitions))
        if self._flight is None:
            self._end_outage()

    def _report(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self.progress)


def _listed(partitions: Collection[TopicPartition]) -> str:
    return ", ".join(f"{topic}[{partition}]" for topic, partition in sorted(set(partitions)))
