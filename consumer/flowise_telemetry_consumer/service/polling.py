"""Polls into the open batch: as long as it may wait, and briefly while another batch is written."""

from __future__ import annotations

from concurrent.futures import wait

from flowise_telemetry_consumer.clock import Clock
from flowise_telemetry_consumer.monitoring.counters import ConsumerCounters
from flowise_telemetry_consumer.reading.source import SkippingReader
from flowise_telemetry_consumer.service.in_hand import InHand
from flowise_telemetry_consumer.service.outage import Outage
from flowise_telemetry_consumer.service.settings import ConsumerSettings

__all__ = ["Polling"]

_POLL_RECORDS = 2_000
_POLL_WHILE_WRITING_SECONDS = 0.05


class Polling:
    """The polls of one consumer."""

    def __init__(
        self,
        source: SkippingReader,
        *,
        in_hand: InHand,
        outage: Outage,
        counters: ConsumerCounters,
        clock: Clock,
        settings: ConsumerSettings,
    ) -> None:
        self._source = source
        self._in_hand = in_hand
        self._outage = outage
        self._counters = counters
        self._clock = clock
        self._limits = settings.batch
        self._seconds = settings.poll_seconds

    def poll(self) -> bool:
        """Poll once into the open batch; return True where that brought anything."""
        full = self._in_hand.open.is_full(self._limits)
        advancing = self._in_hand.advancing
        if advancing is not None:
            if full:
                # The batch is full. Pausing throws away prefetched records, so first give the sink a moment.
                wait([advancing], timeout=self._seconds)
            if advancing.done():
                return False  # the outcome comes first: it may pause the partitions
            if full:
                self._outage.pause()
        room = max(1, min(_POLL_RECORDS, self._limits.rows - len(self._in_hand.open)))
        polled = self._source.poll(timeout_seconds=self._poll_seconds(full=full), max_records=room)
        now = self._counters.polled_at = self._clock.monotonic()
        self._in_hand.open.add(polled.records, now=now)
        for letter in polled.unreadable:
            self._in_hand.open.add_unreadable(letter, now=now)
        return bool(polled.records or polled.unreadable)

    def show(self) -> None:
        """Show how old the records in hand are; a sink that does not answer is told before anything fails."""
        self._counters.advancing_since = self._in_hand.advancing_since
        self._counters.in_hand_since = self._in_hand.oldest_since
        self._outage.look(self._in_hand.advancing_since)

    def _poll_seconds(self, *, full: bool) -> float:
        if self._in_hand.advancing is not None:
            seconds = 0.0 if full else _POLL_WHILE_WRITING_SECONDS
        elif self._in_hand.attempt is not None:
            seconds = self._outage.seconds_until_retry()
        else:
            # A batch may be due, and wait for the brokers' answer about a claim.
            due = self._in_hand.open.seconds_left(self._limits, now=self._clock.monotonic())
            seconds = max(due, self._outage.seconds_until_retry())
        return min(self._seconds, seconds)
