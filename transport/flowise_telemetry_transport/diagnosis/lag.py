"""How far a group is behind, and whether records are removed before it reads them."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping

from flowise_telemetry_transport.diagnosis.finding import Finding, failed, not_tried, ok, warning
from flowise_telemetry_transport.ports import RecordReader
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["look_at_lag"]

_LAG = "group: lag"
_NEAR = 0.8
"""Share of the retention after which an unread record will soon be gone."""
_HOUR_MS = 3_600_000


def look_at_lag(reader: RecordReader, topic: str, group: str, retention_ms: int | None) -> Iterator[Finding]:
    """Yield how many records the group has not read, and whether retention removes them before it does.

    The reader was opened with the group, and does not join it.
    """
    partitions = reader.partitions_of(topic)
    committed = {tp: offset for tp, offset in reader.committed(partitions).items() if offset is not None}
    begins, ends = reader.beginning_offsets(partitions), reader.end_offsets(partitions)
    unread = sum(ends[tp] - max(begins[tp], committed.get(tp, 0)) for tp in partitions)
    if not committed:
        yield ok(_LAG, f"{group} has committed nothing yet, and begins with the oldest of {unread:,} records")
        return
    lost = sum(max(0, begins[tp] - offset) for tp, offset in committed.items())
    if lost:
        says = f"retention has removed up to {lost:,} records of {topic} that {group} had not read"
        yield failed(_LAG, says, "raise retention.ms, and add consumers or find out why they stand still")
        return
    says = f"{group} has {unread:,} records of {topic} to read"
    late = _late(reader, partitions, committed, ends, retention_ms)
    if late and retention_ms is not None:
        hours = (1 - _NEAR) * retention_ms / _HOUR_MS
        yield warning(
            _LAG,
            f"{says}; those of partition {', '.join(map(str, late))} are removed unread within {hours:.3g} hours",
            "raise retention.ms, and add consumers or find out why they stand still",
        )
    else:
        yield ok(_LAG, says)
    if retention_ms is None:
        yield not_tried("group: retention", f"it needs DescribeConfigs on topic {topic}, which only this look does")


def _late(
    reader: RecordReader,
    partitions: Collection[TopicPartition],
    committed: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
    retention_ms: int | None,
) -> list[int]:
    """Return the partitions whose next unread record is older than most of the retention."""
    if retention_ms is None or retention_ms < 0:
        return []
    near_ms = time.time_ns() // 1_000_000 - int(_NEAR * retention_ms)
    newer = reader.offsets_for_times(dict.fromkeys(partitions, near_ms))
    late = []
    for tp in partitions:
        end, first = ends[tp], newer.get(tp)
        if committed.get(tp, 0) < (end if first is None else first) and committed.get(tp, 0) < end:
            late.append(tp.partition)
    return sorted(late)
