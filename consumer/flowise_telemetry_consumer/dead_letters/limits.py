"""Limits on dead letters, off unless they are set: past them someone wants the consumer to stop."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from flowise_telemetry_consumer.dead_letter import DeadLetter
from flowise_telemetry_consumer.errors import DeadLetterLimitError
from flowise_telemetry_schemas import ConfigurationError
from flowise_telemetry_transport.types import Record, TopicPartition

__all__ = ["DeadLetterLimits", "LimitWatch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterLimits:
    """Limits on dead letters; None, the default, tolerates any number.

    Without limits nobody who may write to the topic can stop the consumer. With them it stops before it writes or
    commits the batch, again at every start, until the records are gone or the limit is raised.

    ``max_ratio``: dead letters per record over the latest ``window_records``, once there have been that many.
    ``max_run_records``: consecutive dead letters in one partition.
    """

    max_ratio: float | None = None
    window_records: int = 1_000
    max_run_records: int | None = None

    def __post_init__(self) -> None:
        if self.max_ratio is not None and not 0 <= self.max_ratio <= 1:
            raise ConfigurationError("the dead-letter ratio is a number from 0 to 1", argument="max_ratio")
        if self.window_records < 1:
            raise ConfigurationError("the dead-letter window is at least 1 record", argument="window_records")
        if self.max_run_records is not None and self.max_run_records < 0:
            raise ConfigurationError("the dead-letter run is at least 0 records", argument="max_run_records")


class LimitWatch:
    """Watches every batch and raises once a limit is exceeded. A limit that is not set costs nothing."""

    def __init__(self, limits: DeadLetterLimits) -> None:
        self._limits = limits
        self._window: deque[tuple[int, int]] = deque()
        self._records = 0
        self._dead = 0
        self._runs: dict[TopicPartition, int] = {}

    def observe(self, records: Sequence[Record], dead: Sequence[DeadLetter]) -> None:
        """Count a batch: ``records`` in offset order within a partition, of which ``dead`` are dead letters.

        Raises ``DeadLetterLimitError`` with the most frequent reason and the offset of the latest dead letter.
        """
        if self._limits.max_run_records is not None:
            self._observe_runs(records, dead, self._limits.max_run_records)
        if self._limits.max_ratio is not None:
            self._observe_ratio(len(records), dead, self._limits.max_ratio)

    def forget(self, partitions: Collection[TopicPartition]) -> None:
        """Forget the runs of partitions that are someone else's now."""
        for partition in partitions:
            self._runs.pop(partition, None)

    def _observe_runs(self, records: Sequence[Record], dead: Sequence[DeadLetter], limit: int) -> None:
        if not dead and not self._runs:
            return
        dead_offsets = {(letter.record.topic_partition, letter.record.offset) for letter in dead}
        for record in records:
            partition = record.topic_partition
            if (partition, record.offset) not in dead_offsets:
                self._runs.pop(partition, None)
                continue
            run = self._runs[partition] = self._runs.get(partition, 0) + 1
            if run > limit:
                raise self._exceeded(
                    f"{run} consecutive dead letters in one partition, over the limit of {limit}",
                    dead,
                    argument="max_run_records",
                )

    def _observe_ratio(self, records: int, dead: Sequence[DeadLetter], limit: float) -> None:
        self._window.append((records, len(dead)))
        self._records += records
        self._dead += len(dead)
        while self._records - self._window[0][0] >= self._limits.window_records:
            old_records, old_dead = self._window.popleft()
            self._records -= old_records
            self._dead -= old_dead
        full = self._records >= self._limits.window_records
        if dead and full and self._dead > limit * self._records:
            what = f"{self._dead} of the latest {self._records} records are dead letters"
            raise self._exceeded(f"{what}, over the limit of {limit:.0%}", dead, argument="max_ratio")

    def _exceeded(self, what: str, dead: Sequence[DeadLetter], *, argument: str) -> DeadLetterLimitError:
        reasons = [letter.reason for letter in dead]
        most_frequent = max(sorted(set(reasons)), key=reasons.count)
        latest = dead[-1].record
        return DeadLetterLimitError(
            f"{what}; in this batch mostly {most_frequent}; the latest: {latest.topic}[{latest.partition}] offset"
            f" {latest.offset}. Nothing of the batch is written or committed; to get past it, start without the limit",
            topic=latest.topic,
            partition=latest.partition,
            offset=latest.offset,
            argument=argument,
        )
