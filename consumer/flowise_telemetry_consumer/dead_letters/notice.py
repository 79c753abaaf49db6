"""Warnings of dead letters: one at the first of each reason, then a summary a minute at most.

Records of a schema that this release does not have are nobody's fault: apps were upgraded before this consumer. One
line tells it, and no summary until the end.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

from flowise_telemetry_consumer.clock import Clock
from flowise_telemetry_consumer.dead_letter import DeadLetter, Reason

__all__ = ["DeadLetterNotice"]

logger = logging.getLogger("flowise_telemetry.consumer")

_SUMMARY_SECONDS = 60.0
_NEWER: Reason = "unknown_fingerprint"


class DeadLetterNotice:
    """Warns of one consumer's dead letters without flooding the log, however many there are."""

    def __init__(self, topic: str, clock: Clock) -> None:
        self._topic = topic
        self._clock = clock
        self._known: set[str] = set()
        self._unsaid: Counter[str] = Counter()
        self._summary_at = 0.0

    def filed(self, letters: Sequence[DeadLetter]) -> None:
        """Take note of dead letters that are in the topic; warn of those that are the first of their reason."""
        for letter in letters:
            if letter.reason in self._known:
                self._unsaid[letter.reason] += 1
                continue
            if not self._known - {_NEWER}:
                self._summary_at = self._clock.monotonic() + _SUMMARY_SECONDS
            self._known.add(letter.reason)
            record = letter.record
            if letter.reason == _NEWER:
                logger.warning(
                    "a record of a schema that this release does not have: %s[%d] offset %d: %s. Such records are kept"
                    " in %s without a further line: upgrade this consumer, then redrive those with the reason %s",
                    record.topic,
                    record.partition,
                    record.offset,
                    letter.message,
                    self._topic,
                    _NEWER,
                )
                continue
            logger.warning(
                "first dead letter with reason %s: %s[%d] offset %d, filed in %s: %s",
                letter.reason,
                record.topic,
                record.partition,
                record.offset,
                self._topic,
                letter.message,
            )
        self.look()

    def look(self, *, last: bool = False) -> None:
        """Warn of the dead letters that no line has told yet, if a minute has passed or this is the last look."""
        now = self._clock.monotonic()
        told = {reason: count for reason, count in sorted(self._unsaid.items()) if last or reason != _NEWER}
        if not told or (now < self._summary_at and not last):
            return
        counts = ", ".join(f"{reason} {count:,}" for reason, count in told.items())
        logger.warning("%s more dead letters in %s: %s", f"{sum(told.values()):,}", self._topic, counts)
        for reason in told:
            del self._unsaid[reason]
        self._summary_at = now + _SUMMARY_SECONDS
