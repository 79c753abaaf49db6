"""The live consumer: poll, write batch after batch, commit what is written."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from random import Random

from flowise_telemetry_consumer.clock import Clock, SystemClock
from flowise_telemetry_consumer.dead_letters.limits import LimitWatch
from flowise_telemetry_consumer.dead_letters.notice import DeadLetterNotice
from flowise_telemetry_consumer.dead_letters.writer import DeadLetterQueue
from flowise_telemetry_consumer.decoding.decoder import Decoder
from flowise_telemetry_consumer.errors import FencedError
from flowise_telemetry_consumer.monitoring.counters import ConsumerCounters, OnChange
from flowise_telemetry_consumer.monitoring.partitions import PartitionMonitor
from flowise_telemetry_consumer.reading.batch import RecordBatch
from flowise_telemetry_consumer.reading.source import SkippingReader
from flowise_telemetry_consumer.retry import Backoff
from flowise_telemetry_consumer.service.committer import Committer
from flowise_telemetry_consumer.service.outage import Outage
from flowise_telemetry_consumer.service.settings import ConsumerSettings
from flowise_telemetry_consumer.service.write_attempt import WriteAttempt
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
    """Moves a topic into a sink: each record into the sink or the dead-letter topic, then its offset is committed.

    One batch is decoded and written on the sink's own thread while the next is polled; memory holds no more than
    these two. Reader and writer belong to the caller, who closes them after ``run``; the sink is closed by ``run``. A
    crash at any moment, a rebalance, or an outage of sink or broker loses nothing. Records that are read twice
    because of one are written once, as the sink knows its events; a dead letter may be filed twice when the process
    dies between its delivery and the commit.

    ``open_reader`` opens a second reader for the metrics' thread; it never joins the group. Without it, ``reader``.
    """

    def __init__(
        self,
        reader: RecordReader,
        sink: Sink,
        dlq_writer: RecordWriter,
        catalog: Catalog,
        settings: ConsumerSettings | None = None,
        *,
        on_change: OnChange | None = None,
        clock: Clock | None = None,
        random: Random | None = None,
        sink_thread: Executor | None = None,
        open_reader: Callable[[], RecordReader] | None = None,
    ) -> None:
        self.settings = settings or ConsumerSettings()
        self._clock = clock or SystemClock()
        self.counters = ConsumerCounters(polled_at=self._clock.monotonic())
        self._reader = reader
        self._sink = sink
        self._catalog = catalog
        self._on_change = on_change
        self._sink_thread = sink_thread or ThreadPoolExecutor(1, thread_name_prefix="flowise-telemetry-sink")
        self._decoder = Decoder(catalog)
        self._limits = LimitWatch(self.settings.limits)
        self._dead_letters = DeadLetterQueue(
            dlq_writer, topic=self.settings.dead_letter_topic, group=self.settings.group, clock=self._clock
        )
        self._notice = DeadLetterNotice(self.settings.dead_letter_topic, self._clock)
        self._source = SkippingReader(reader, self._clock)
        self._committer = Committer(reader, self.counters, self._clock, timeout_seconds=self.settings.commit_seconds)
        self._monitor = PartitionMonitor(reader, self.counters, self._clock, self.settings.topic, open_reader)
        backoff = Backoff(
            initial_seconds=self.settings.retry_initial_seconds,
            max_seconds=self.settings.retry_max_seconds,
            random=random,
        )
        self._outage = Outage(reader, self.counters, self._clock, backoff)
        self._open = RecordBatch()
        self._attempt: WriteAttempt | None = None
        self._advancing: Future[None] | None = None
        self._unclaimed: set[TopicPartition] = set()
        self._fenced = False

    def run(self, stop: threading.Event) -> ConsumerCounters:
        """Consume until ``stop`` is set, then write and commit what is polled, within ``stop_budget_seconds``.

        Raises without committing what is in hand: ``SinkError`` and ``TransportError`` that no retry mends,
        ``DeadLetterLimitError``, ``DeadLetterRefusedError``. At the start an unavailable sink raises too.
        """
        try:
            self._sink_thread.submit(self._sink.prepare, list(self._catalog)).result()
            self._reader.subscribe([self.settings.topic], on_assigned=self._on_assigned, on_revoked=self._on_revoked)
            while not stop.is_set():
                self.turn()
            self._drain(budget_seconds=self.settings.stop_budget_seconds)
            self._committer.commit_last(budget_seconds=self.settings.commit_seconds)
            self._drop(self._in_hand())
        finally:
            self._notice.look(last=True)
            self._monitor.close()
            closing = self._sink_thread.submit(self._sink.close)
            # A sink that hangs must not keep the caller from closing the reader, which leaves the group.
            wait([closing], timeout=_CLOSE_SECONDS)
            self._sink_thread.shutdown(wait=closing.done())
        return self.counters

    def turn(self) -> None:
        """Do one round of the loop: at most one poll and one step of a batch. ``run`` calls it; so may a test."""
        if self._fenced:
            self._fenced = False
            self._reader.rejoin()
        polled = self._poll()
        self._monitor.look()
        self._notice.look()
        self._settle()
        if self._attempt is None and self._open.is_due(self.settings.batch, now=self._clock.monotonic()):
            self._start()
        if self._attempt is not None and self._advancing is None and not self._outage.seconds_until_retry():
            self._advance(self._attempt)
        if not polled and self._attempt is None and not self._open:
            self._committer.take_idle_positions()
        self._committer.commit_if_due()

    def _poll(self) -> bool:
        """Poll once into the open batch; return True where that brought anything."""
        full = self._open.is_full(self.settings.batch)
        if self._advancing is not None:
            if full:
                # The batch is full. Pausing throws away prefetched records, so first give the sink a moment.
                wait([self._advancing], timeout=self.settings.poll_seconds)
            if self._advancing.done():
                return False  # the outcome comes first: it may pause the partitions
            if full:
                self._outage.pause()
        room = max(1, min(_POLL_RECORDS, self.settings.batch.rows - len(self._open)))
        polled = self._source.poll(timeout_seconds=self._poll_seconds(full=full), max_records=room)
        now = self.counters.polled_at = self._clock.monotonic()
        self._open.add(polled.records, now=now)
        for letter in polled.unreadable:
            self._open.add_unreadable(letter, now=now)
        return bool(polled.records or polled.unreadable)

    def _poll_seconds(self, *, full: bool) -> float:
        if self._advancing is not None:
            seconds = 0.0 if full else _POLL_WHILE_WRITING_SECONDS
        elif self._attempt is not None:
            seconds = self._outage.seconds_until_retry()
        else:
            seconds = self._open.seconds_left(self.settings.batch, now=self._clock.monotonic())
        return min(self.settings.poll_seconds, seconds)

    def _start(self) -> WriteAttempt:
        """Close the open batch and begin its way to the sink."""
        self._attempt = self._attempt_at(self._open, claim=self._unclaimed)
        self._open = RecordBatch()
        return self._attempt

    def _attempt_at(self, batch: RecordBatch, *, claim: Collection[TopicPartition]) -> WriteAttempt:
        return WriteAttempt(
            batch,
            claim=claim,
            decoder=self._decoder,
            sink=self._sink,
            source=self.settings.group,
            dead_letters=self._dead_letters,
            limits=self._limits,
        )

    def _advance(self, attempt: WriteAttempt) -> None:
        """Have the sink's thread take the batch through the steps that are left."""
        self._advancing = self._sink_thread.submit(attempt.advance, flush_seconds=self.settings.flush_seconds)

    def _settle(self) -> bool:
        """Take the outcome of what the sink's thread did, if it is done; return True where the batch is completed."""
        if self._attempt is None or self._advancing is None or not self._advancing.done():
            return False
        advanced, self._advancing = self._advancing, None
        try:
            advanced.result()
        except FencedError as error:
            self._leave_partitions(error)
            return False
        except TelemetryError as error:
            if not error.retryable:
                raise
            if self._outage.begin(error):
                self._report()
            return False
        self._completed(self._attempt)
        return True

    def _completed(self, attempt: WriteAttempt) -> None:
        self._attempt = None
        self._unclaimed -= attempt.claim
        self._committer.handled(attempt.batch.next_offsets)
        outcome = attempt.outcome(self._catalog.control)
        self.counters.count(outcome)
        self._monitor.count(outcome)
        self._notice.filed(attempt.dead)
        self._outage.end()
        self._committer.commit()
        self._report()

    def _leave_partitions(self, error: FencedError) -> None:
        """Drop all partitions and rejoin the group at the next turn.

        We were fenced: another member claimed our partitions, or we claimed after losing them.
        """
        logger.warning("giving up all partitions and rejoining the group: %s", error.message)
        lost = self._reader.assignment() | self._in_hand()
        self._drop(lost)
        self._forget(lost)
        self._fenced = True

    def _on_assigned(self, partitions: Collection[TopicPartition]) -> None:
        logger.info("assigned: %s", _listed(partitions))
        self._unclaimed |= set(partitions)
        self._monitor.assigned(partitions)
        self._outage.assigned(partitions)

    def _on_revoked(self, partitions: Collection[TopicPartition]) -> None:
        # No heartbeats go out while this runs: an outage that is known already gets one try, not the whole budget.
        self._drain(budget_seconds=0.0 if self._outage.is_on else self.settings.revoke_budget_seconds)
        self._committer.commit()
        self._drop(partitions)
        self._forget(partitions)
        self._fenced = self._fenced and not self._reader.assignment() <= set(partitions)
        logger.info("revoked: %s", _listed(partitions))

    def _drain(self, *, budget_seconds: float) -> None:
        """Write everything in hand, as far as the budget lasts; each batch gets one try."""
        deadline = self._clock.monotonic() + budget_seconds
        tries = 0
        while self._attempt is not None or self._open:
            attempt = self._attempt or self._start()
            if self._advancing is None:
                if tries and self._outage.retry_at >= deadline:
                    return
                if tries:
                    self._clock.sleep(self._outage.seconds_until_retry())
                self._advance(attempt)
            assert self._advancing is not None  # noqa: S101 - it was started
            wait([self._advancing], timeout=max(_ONE_TRY_SECONDS, deadline - self._clock.monotonic()))
            if not self._advancing.done():
                return
            tries = 0 if self._settle() else tries + 1

    def _drop(self, partitions: Collection[TopicPartition]) -> None:
        """Let go of records that were polled from these partitions and are not completed; they are not committed."""
        before = len(self._open)
        self._open = self._open.without(partitions)
        dropped = before - len(self._open)
        if self._attempt is not None:
            rest = self._attempt.batch.without(partitions)
            dropped += len(self._attempt.batch) - len(rest)
            if len(rest) < len(self._attempt.batch):
                # An attempt that is already writing goes on: its events are written, and read again.
                self._attempt.abandon()
                if self._advancing is not None:
                    self._advancing.cancel()
                    self._advancing = None
                self._attempt = self._attempt_at(rest, claim=self._unclaimed - set(partitions)) if rest else None
        if dropped:
            self.counters.dropped_records += dropped
            logger.warning("%d polled records are left to the next owner of %s", dropped, _listed(partitions))
        if self._attempt is None:
            self._outage.end()

    def _forget(self, partitions: Collection[TopicPartition]) -> None:
        """Forget all that is known of partitions that are someone else's now."""
        self._committer.forget(partitions)
        self._source.forget(partitions)
        self._limits.forget(partitions)
        self._unclaimed -= set(partitions)
        self._monitor.revoked(partitions)
        self._outage.revoked(partitions)

    def _in_hand(self) -> frozenset[TopicPartition]:
        attempted = self._attempt.batch.next_offsets if self._attempt is not None else ()
        return frozenset(self._open.next_offsets).union(attempted)

    def _report(self) -> None:
        if self._on_change is not None:
            self._on_change(self.counters)


def _listed(partitions: Collection[TopicPartition]) -> str:
    return ", ".join(f"{topic}[{partition}]" for topic, partition in sorted(set(partitions)))
