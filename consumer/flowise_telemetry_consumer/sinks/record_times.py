"""Times of records that are written to a topic long after they were sent: what its settings make of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Self

from flowise_telemetry_consumer.clock import Clock, SystemClock
from flowise_telemetry_transport.types import OutgoingRecord

__all__ = ["RecordTimes"]

_DAY_MS = 86_400_000
_NEVER = 2**63 - 1


@dataclasses.dataclass(slots=True)
class RecordTimes:
    """Bounds that a topic sets on the times of its records, and how many records met them. -1 or None: no bound.

    A record that the topic would refuse for its time (``message.timestamp.before.max.ms`` and ``.after.max.ms``,
    KIP-937) is dated now: ``redated`` counts them. One that is older than ``retention_ms`` keeps its time and is
    removed soon after it was written: ``expiring`` counts them.
    """

    retention_ms: int = -1
    before_max_ms: int = _NEVER
    after_max_ms: int = _NEVER
    clock: Clock = dataclasses.field(default_factory=SystemClock)
    redated: int = 0
    expiring: int = 0

    @classmethod
    def from_settings(cls, settings: Mapping[str, str], clock: Clock | None = None) -> Self:
        """Take the bounds from a topic's settings; one that dates records itself, or that tells nothing, has none."""
        clock = clock or SystemClock()
        if settings.get("message.timestamp.type") == "LogAppendTime":
            return cls(clock=clock)
        removes = "delete" in settings.get("cleanup.policy", "delete")
        return cls(
            retention_ms=int(settings.get("retention.ms", -1)) if removes else -1,
            before_max_ms=int(settings.get("message.timestamp.before.max.ms", _NEVER)),
            after_max_ms=int(settings.get("message.timestamp.after.max.ms", _NEVER)),
            clock=clock,
        )

    def keep_within(self, records: Sequence[OutgoingRecord]) -> Sequence[OutgoingRecord]:
        """Return the records with times that the topic accepts, and count those that it changed or will lose."""
        now_ms = self.clock.now_ms()
        return [self._within(record, now_ms) for record in records]

    def _within(self, record: OutgoingRecord, now_ms: int) -> OutgoingRecord:
        if record.timestamp_ms is None:
            return record
        age_ms = now_ms - record.timestamp_ms
        if age_ms > self.before_max_ms or -age_ms > self.after_max_ms:
            self.redated += 1
            return dataclasses.replace(record, timestamp_ms=now_ms)
        self.expiring += 0 <= self.retention_ms < age_ms
        return record

    def warning(self) -> str | None:
        """Return what to know before anything is written; None where the topic keeps records of any age."""
        if self.retention_ms < 0:
            return None
        return (
            f"it keeps records for {self.retention_ms / _DAY_MS:.1f} days from their own time, which they keep:"
            " older ones are removed soon after they are written; raise its retention.ms first to keep them"
        )

    def summary(self) -> Sequence[str]:
        """Return a line for each kind of record that met a bound."""
        lines = []
        if self.expiring:
            lines.append(f"{self.expiring:,} records are older than the topic's retention and will be removed")
        if self.redated:
            lines.append(f"{self.redated:,} records are dated now, as the topic refuses their own time")
        return lines
