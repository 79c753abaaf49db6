"""The live consumer: poll, write batch after batch, commit what is written."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection
from concurrent.futures import Executor, wait
from random import Random

from flowise_telemetry_consumer.clock import Clock, SystemClock
from flowise_telemetry_consumer.dead_letters.limits import LimitWatch
from flowise_telemetry_consumer.dead_letters.notice import DeadLetterNotice
from flowise_telemetry_consumer.dead_letters.writer import DeadLetterQueue
from flowise_telemetry_consumer.decoding.decoder import Decoder
from flowise_telemetry_consumer.errors import FencedError, SinkBehindError
from flowise_telemetry_consumer.monitoring.counters import ConsumerCounters, OnChange
from flowise_telemetry_consumer.monitoring.ends import Explain
from flowise_telemetry_consumer.monitoring.partitions import PartitionMonitor
from flowise_telemetry_consumer.reading.batch import RecordBatch
from flowise_telemetry_consumer.reading.source import SkippingReader
from flowise_telemetry_consumer.service.claim import GroupState
from flowise_telemetry_consumer.service.committer import Committer
from flowise_telemetry_consumer.service.held_offsets import HeldOffsets, listed
from flowise_telemetry_consumer.service.in_hand import InHand
from flowise_telemetry_consumer.service.outage import Outage
from flowise_telemetry_consumer.service.polling import Polling
from flowise_telemetry_consumer.service.settings import ConsumerSettings
from flowise_telemetry_consumer.service.sink_thread import SinkThread
from flowise_telemetry_consumer.service.write_attempt import WriteAttempt, WritePath
from flowise_telemetry_consumer.sinks.parts import WriteSize
from flowise_telemetry_consumer.sinks.port import KeepsProgress, Sink
from flowise_telemetry_consumer.sinks.refusals import Refusals
from flowise_telemetry_schemas import Catalog, TelemetryError
from flowise_telemetry_transport.errors import TransportError
from flowise_telemetry_transport.ports import RecordReader, RecordWriter
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["Consumer"]

logger = logging.getLogger("flowise_telemetry.consumer")

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
    ``explain``: see ``EndsThread``; what it finds is told where the brokers do not answer.
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
        explain: Explain = lambda error: error,
    ) -> None:
        self.settings = settings or ConsumerSettings()
        self._clock = clock or SystemClock()
        self.counters = ConsumerCounters(polled_at=self._clock.monotonic())
        self._reader = reader
        self._sink = sink
        self._catalog = catalog
        self._on_change = on_change
        self._sink_thread = sink_thread or SinkThread()
        self._path = WritePath(
            decoder=Decoder(catalog),
            sink=sink,
            source=self.settings.group,
            dead_letters=DeadLetterQueue(
                dlq_writer, topic=self.settings.dead_letter_topic, group=self.settings.group, clock=self._clock
            ),
            limits=LimitWatch(self.settings.limits),
            refusals=Refusals(self.settings.on_refused, self.settings.max_refused_per_hour, clock=self._clock),
            size=WriteSize(self._clock.monotonic),
        )
        self._notice = DeadLetterNotice(self.settings.dead_letter_topic, self._clock)
        self._source = SkippingReader(reader, self._clock)
        self._committer = Committer(reader, self.counters, self._clock, timeout_seconds=self.settings.commit_seconds)
        self._monitor = PartitionMonitor(
            reader, self.counters, self._clock, self.settings.topic, open_reader=open_reader, explain=explain
        )
        self._outage = Outage(reader, self.counters, self._clock, self.settings.backoff(random))
        self._in_hand = InHand(self._attempt_of, self._sink_thread, flush_seconds=self.settings.flush_seconds)
        self._polling = Polling(
            self._source,
            in_hand=self._in_hand,
            outage=self._outage,
            counters=self.counters,
            clock=self._clock,
            settings=self.settings,
        )
        self._keeps_progress = isinstance(sink, KeepsProgress)
        self._held = HeldOffsets(
            reader, self.counters, topic=self.settings.topic, group=self.settings.group, sink=sink.url
        )
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
            self.counters.draining = True
            self._drain(budget_seconds=self.settings.stop_budget_seconds)
            self._committer.commit_last(budget_seconds=self.settings.commit_seconds)
            self.counters.left = self._drop(self._in_hand.partitions())
        finally:
            self._notice.look(last=True)
            self._monitor.close()
            closing = self._sink_thread.submit(self._sink.close)
            wait([closing], timeout=_CLOSE_SECONDS)  # the reader is closed next: it leaves the group
            self._sink_thread.shutdown(wait=closing.done())
        return self.counters

    def turn(self) -> None:
        """Do one round of the loop: at most one poll and one step of a batch."""
        if self._fenced:
            self._fenced = False
            self._reader.rejoin()
        polled = self._polling.poll()
        self._monitor.look()
        if self._held.is_of_another_topic(self._monitor.topic_id):
            self._leave_partitions(f"topic {self.settings.topic} was deleted and created again")
            return
        self._notice.look()
        self._settle()
        if self._in_hand.attempt is None and not self._outage.seconds_until_retry():
            self._begin()
        attempt = self._in_hand.attempt
        if attempt is not None and self._in_hand.advancing is None and not self._outage.seconds_until_retry():
            self._in_hand.advance(attempt, now=self._clock.monotonic())
        self._polling.show()
        if not polled and not self._in_hand:
            self._committer.take_idle_positions()
        self._committer.commit_if_due()

    def _begin(self) -> None:
        """Begin what is next: go back to what the sink holds, claim what is newly ours, write a batch that is due."""
        try:
            if self._held.is_behind:
                self._go_back()
            if self._held.unclaimed:
                state = self._held.look_up()
                self._in_hand.attempt = self._attempt_of(RecordBatch(), claim=self._held.unclaimed, state=state)
            elif self._in_hand.open.is_due(self.settings.batch, now=self._clock.monotonic()):
                self._in_hand.start()
        except TransportError as error:
            if not error.retryable:
                raise
            if self._outage.begin(error):
                self._report()

    def _go_back(self) -> None:
        back = self._held.go_back()
        self._in_hand.let_go(back)
        self._committer.forget(back)
        self._source.forget(back)
        self._path.limits.forget(back)
        self._outage.end()

    def _attempt_of(
        self, batch: RecordBatch, *, claim: Collection[TopicPartition] = (), state: GroupState | None = None
    ) -> WriteAttempt:
        return WriteAttempt(batch, self._path, claim=claim, state=state, held=self._held.of(batch.next_offsets))

    def _settle(self) -> bool:
        """Take the outcome of what the sink's thread did, if it is done; return True where the batch is completed."""
        attempt, advancing = self._in_hand.attempt, self._in_hand.advancing
        if attempt is None or advancing is None or not advancing.done():
            return False
        self._in_hand.advancing = None
        try:
            advancing.result()
        except FencedError as error:
            self._leave_partitions(error.message)
            return False
        except SinkBehindError as error:
            self._held.lacks(error.next_offsets)
            self._in_hand.let_go(error.next_offsets)
            self._outage.end()
            return False
        except TelemetryError as error:
            if not self._outage.is_waited_for(error):
                raise
            if self._outage.begin(error):
                self._report()
            return False
        if attempt.is_done:
            self._completed(attempt)
        else:
            self._outage.end()
        return attempt.is_done

    def _completed(self, attempt: WriteAttempt) -> None:
        self._in_hand.attempt = None
        if attempt.claimed is not None:
            self._held.claimed(attempt.claim, attempt.claimed)
        if not attempt.batch:
            self._outage.end()
            return
        self._held.wrote(attempt.stored_offsets if self._keeps_progress else {})
        self._committer.handled(attempt.batch.next_offsets)
        outcome = attempt.outcome(self._catalog.control)
        self.counters.count(outcome)
        self._monitor.count(outcome)
        self._notice.filed(attempt.dead)
        self._outage.end()
        self._committer.commit()
        self._report()

    def _leave_partitions(self, why: str) -> None:
        """Drop all partitions and rejoin the group at the next turn: fenced, or with offsets of a deleted topic."""
        logger.warning("giving up all partitions and rejoining the group: %s", why)
        lost = self._reader.assignment() | self._in_hand.partitions()
        self._drop(lost)
        self._forget(lost)
        self._fenced = True

    def _on_assigned(self, partitions: Collection[TopicPartition]) -> None:
        logger.info("assigned: %s", listed(partitions))
        if self._keeps_progress:
            self._held.assigned(partitions)
        self._monitor.assigned(partitions)
        self._outage.assigned(partitions)

    def _on_revoked(self, partitions: Collection[TopicPartition]) -> None:
        # No heartbeats go out while this runs: an outage that is known already gets one try, not the whole budget.
        self._drain(budget_seconds=0.0 if self._outage.is_on else self.settings.revoke_budget_seconds)
        self._committer.commit()
        self._drop(partitions)
        self._forget(partitions)
        self._fenced = self._fenced and not self._reader.assignment() <= set(partitions)
        logger.info("revoked: %s", listed(partitions))

    def _drain(self, *, budget_seconds: float) -> None:
        """Write everything in hand, as far as the budget lasts; each batch gets one try."""
        deadline = self._clock.monotonic() + budget_seconds
        tries = 0
        while self._in_hand:
            if self._in_hand.attempt is None and self._held.unclaimed:
                return  # no requests to the brokers inside a rebalance; the next owner reads these records
            attempt = self._in_hand.attempt or self._in_hand.start()
            advancing = self._in_hand.advancing
            if advancing is None:
                if tries and max(self._outage.retry_at, self._clock.monotonic()) >= deadline:
                    return
                if tries:
                    self._clock.sleep(self._outage.seconds_until_retry())
                advancing = self._in_hand.advance(attempt, now=self._clock.monotonic())
            wait([advancing], timeout=max(_ONE_TRY_SECONDS, deadline - self._clock.monotonic()))
            if not advancing.done():
                return
            tries = 0 if self._settle() else tries + 1

    def _drop(self, partitions: Collection[TopicPartition]) -> int:
        """Leave records of these partitions that are not completed to the next owner; return their number."""
        dropped = self._in_hand.let_go(partitions)
        if dropped:
            self.counters.dropped_records += dropped
            logger.warning("%d polled records are left to the next owner of %s", dropped, listed(partitions))
        if self._in_hand.attempt is None:
            self._outage.forget()
        return dropped

    def _forget(self, partitions: Collection[TopicPartition]) -> None:
        """Forget all that is known of partitions that are someone else's now."""
        self._committer.forget(partitions)
        self._source.forget(partitions)
        self._path.limits.forget(partitions)
        self._held.forget(partitions)
        self._monitor.revoked(partitions)
        self._outage.revoked(partitions)

    def _report(self) -> None:
        if self._on_change is not None:
            self._on_change(self.counters)
