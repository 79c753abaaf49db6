"""An operator's view of the partitions: assignment, lag, age of events."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass

from flowise_telemetry_consumer.clock import Clock
from flowise_telemetry_consumer.monitoring.counters import BatchOutcome, ConsumerCounters
from flowise_telemetry_consumer.monitoring.ends import (
    NO_ANSWER,
    EndsLookup,
    EndsOnDemand,
    EndsQuestion,
    EndsThread,
    Explain,
    PartitionEnds,
)
from flowise_telemetry_consumer.monitoring.lag_ages import LagAges
from flowise_telemetry_transport.ports import RecordReader
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["BROKERS_SECONDS", "LAG_SECONDS", "PartitionMonitor"]

logger = logging.getLogger("flowise_telemetry.consumer")

LAG_SECONDS = 15.0
"""Interval between two look-ups of the partitions' ends, while metrics are scraped."""

BROKERS_SECONDS = 15.0
"""Interval between two questions to the brokers, scraped or not: whether they answer, and the topic's id."""

_NO_ANSWER_SECONDS = 20.0
_REASON_SECONDS = 5.0
"""Time before that in which the reason may be found."""

_SHOWN = 20
_HELD_SECONDS = 60.0


@dataclass(slots=True)
class _Held:
    """An open transaction: its first offset, when it was seen first, and whether it was told."""

    at: int
    since: float
    told: bool = False


class PartitionMonitor:
    """Watch over the assigned partitions: lag, age of events. Runs on the consumer's thread.

    ``topic_id`` is that of the topic, as of the latest look-up since partitions were assigned.
    """

    def __init__(
        self,
        reader: RecordReader,
        counters: ConsumerCounters,
        clock: Clock,
        topic: str,
        *,
        open_reader: Callable[[], RecordReader] | None = None,
        explain: Explain = lambda error: error,
    ) -> None:
        self._reader = reader
        self._lookup: EndsLookup = EndsOnDemand(reader) if open_reader is None else EndsThread(open_reader, explain)
        self._held: dict[TopicPartition, _Held] = {}
        self._unread = LagAges()
        self._counters = counters
        self._clock = clock
        self._topic = topic
        self._look_at = 0.0
        self._ask_at = clock.monotonic() + BROKERS_SECONDS
        self._asked_at = 0.0
        self.topic_id: str | None = None

    def assigned(self, partitions: Collection[TopicPartition]) -> None:
        """Note newly assigned partitions."""
        self._counters.rebalances += 1
        self._counters.assigned |= frozenset(partitions)
        self.topic_id = None

    def revoked(self, partitions: Collection[TopicPartition]) -> None:
        """Note partitions that are no longer ours."""
        counters = self._counters
        counters.assigned -= frozenset(partitions)
        for states in (counters.lag, counters.held_back, self._held):
            for tp in states.keys() - counters.assigned:
                del states[tp]
        self._counters.lag_since = self._unread.keep(counters.assigned)

    def count(self, outcome: BatchOutcome) -> None:
        """Take the age of the newest event from a completed batch."""
        newest = [moment for frame in outcome.frames.values() if (moment := frame["occurred_at"].max()) is not None]
        if newest:
            newest_ms = max(moment.timestamp() for moment in newest) * 1000  # type: ignore[union-attr]  # datetimes
            self._counters.event_age_seconds = max(0.0, (self._clock.now_ms() - newest_ms) / 1000)

    def look(self) -> None:
        """Take notice of what retention removed, and of the partitions' ends if the metrics were scraped.

        The ends are asked for every ``LAG_SECONDS`` at most, the brokers every ``BROKERS_SECONDS``. Nothing here
        waits for them.
        """
        self._note_expired()
        answer, failure, now = self._lookup.answer(), self._lookup.failure(), self._clock.monotonic()
        if answer is not None:
            self._brokers_are_away(None)
            self._take(answer)
        elif failure is not None:
            self._brokers_are_away(failure.message)
        elif self._lookup.is_open and now - self._asked_at > _NO_ANSWER_SECONDS:
            self._brokers_are_away(self._counters.brokers_away or NO_ANSWER)
        elif self._lookup.is_open and now - self._asked_at > _NO_ANSWER_SECONDS - _REASON_SECONDS:
            self._lookup.look_into()
        watched = self._counters.watched and now >= self._look_at
        if self._lookup.is_open or (not watched and now < self._ask_at):
            return
        self._ask_at, self._asked_at = now + BROKERS_SECONDS, now
        assigned: frozenset[TopicPartition] = frozenset()
        if watched:
            self._look_at = now + LAG_SECONDS
            self._counters.watched = False
            assigned = self._reader.assignment()
        self._lookup.ask(EndsQuestion(assigned, assigned - self._counters.committed.keys(), self._topic))

    def close(self) -> None:
        """End the look-ups."""
        self._lookup.close()

    def _brokers_are_away(self, why: str | None) -> None:
        """Show whether the brokers answer; say once that they do not, and once that they do again."""
        before, self._counters.brokers_away = self._counters.brokers_away, why
        if why is not None and before is None:
            logger.warning("waiting for the brokers: %s", why)
        elif why is None and before is not None:
            logger.warning("the brokers answer again")

    def _note_expired(self) -> None:
        expired = [each for each in self._reader.expired() if each.partition in self._counters.assigned]
        if not expired:
            return
        count = sum(end - first for _, first, end in expired)
        self._counters.expired += count
        shown = ", ".join(f"{tp.topic}[{tp.partition}] {first} to {end - 1}" for tp, first, end in expired[:_SHOWN])
        more = f" and in {len(expired) - _SHOWN} more partitions" if len(expired) > _SHOWN else ""
        logger.warning(
            "%s offsets were removed by retention before they were read: %s%s; raise retention.ms of topic %s, or look"
            " at what stopped or slowed the consumer",
            f"{count:,}",
            shown,
            more,
            self._topic,
        )

    def _take(self, found: PartitionEnds) -> None:
        """Set the lag: from what is committed up to what a reader gets; and what an open transaction keeps from it."""
        self.topic_id = found.topic_id or self.topic_id
        if not found.ends:
            return
        positions, now = {**found.starts, **self._counters.committed}, self._clock.monotonic()
        ours = positions.keys() & found.ends.keys() & self._counters.assigned
        self._counters.lag = {tp: max(0, found.ends[tp] - positions[tp]) for tp in ours}
        at = {tp: (positions[tp], found.ends[tp]) for tp in ours}
        self._counters.lag_since = self._unread.look(at, now)
        self._counters.held_back = {tp: max(0, found.high_watermarks[tp] - found.ends[tp]) for tp in ours}
        for tp, count in self._counters.held_back.items():
            held = self._held.get(tp)
            if not count:
                self._held.pop(tp, None)
            elif held is None or held.at != found.ends[tp]:
                self._held[tp] = _Held(found.ends[tp], now)
            elif not held.told and now - held.since >= _HELD_SECONDS:
                held.told = True
                logger.warning(
                    "a transaction that began at offset %s of %s[%s] has been open for %.0f s: %s records wait behind"
                    " it; end it with kafka-transactions.sh abort",
                    held.at,
                    tp.topic,
                    tp.partition,
                    now - held.since,
                    f"{count:,}",
                )
