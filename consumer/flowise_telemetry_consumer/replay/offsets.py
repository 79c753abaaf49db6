"""From what was asked for to offsets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flowise_telemetry_consumer.reading.offset_range import MissingOffsets, OffsetRange
from flowise_telemetry_consumer.replay.bounds import Bound
from flowise_telemetry_consumer.replay.request import ReplayRequest, Shard
from flowise_telemetry_schemas import ConfigurationError
from flowise_telemetry_transport.ports import RecordReader
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["ResolvedRange", "resolve"]


@dataclass(frozen=True, slots=True)
class ResolvedRange:
    """The offsets that a replay reads, fixed when it starts. ``missing``: what was asked for and is not there any more.

    Where the beginning is a time, an entry of ``missing`` says that some of these offsets may have belonged to the
    range: of what is gone the time is not known.
    """

    offsets: OffsetRange
    missing: MissingOffsets = field(default_factory=dict)
    topic_id: str | None = None


def resolve(reader: RecordReader, request: ReplayRequest, shard: Shard | None = None) -> ResolvedRange:
    """The offsets of a range at this moment.

    Raises ``UnknownTopicError``, ``BrokerUnavailableError``, and ``ConfigurationError`` for a partition that is not
    there and for a beginning past every end.
    """
    whole = OffsetRange.of(reader, request.topic)
    partitions = _chosen(whole, request)
    begins = {tp: whole.starts[tp] for tp in partitions}
    ends = {tp: whole.ends[tp] for tp in partitions}
    if request.end is not None and request.end.offset is not None:
        limit = request.end.offset
        if request.begin is None and any(begins.values()) and all(limit <= begin for begin in begins.values()):
            raise ConfigurationError(f"the range is empty: {request.topic} has nothing left before offset {limit}")
        ends = {tp: min(end, limit) for tp, end in ends.items()}
    starts = begins
    missing: dict[TopicPartition, tuple[int, int]] = {}
    if request.begin is not None and request.begin.offset is not None:
        starts, missing = _from_offset(request.topic, request.begin.offset, begins, whole.ends)
    elif request.begin is not None:
        starts, missing = _from_time(reader, request.begin, begins, whole.ends)
    if shard is not None:
        partitions = shard.share_of(partitions)
    offsets = OffsetRange(
        request.topic,
        # A range may end before the first offset that is left.
        {tp: min(starts[tp], ends[tp]) for tp in partitions},
        {tp: ends[tp] for tp in partitions},
    )
    within = {tp: (first, min(last, ends[tp])) for tp, (first, last) in missing.items() if tp in offsets.starts}
    return ResolvedRange(
        offsets,
        {tp: [(first, last)] for tp, (first, last) in within.items() if first < last},
        reader.topic_id(request.topic),
    )


def _chosen(whole: OffsetRange, request: ReplayRequest) -> tuple[TopicPartition, ...]:
    there = {tp.partition: tp for tp in sorted(whole.starts)}
    unknown = [number for number in request.partitions if number not in there]
    if unknown:
        raise ConfigurationError(
            f"--partition {unknown[0]}: topic {request.topic} has the partitions 0 to {max(there)}"
        )
    return tuple(there[number] for number in request.partitions or there)


def _from_offset(
    topic: str, offset: int, begins: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
) -> tuple[dict[TopicPartition, int], dict[TopicPartition, tuple[int, int]]]:
    if offset and all(offset >= ends[tp] for tp in begins):
        listed = ", ".join(f"{tp.partition}: {ends[tp]}" for tp in begins)
        raise ConfigurationError(f"the range is empty: no partition of {topic} reaches offset {offset} ({listed})")
    starts = {tp: min(max(offset, begin), max(ends[tp], begin)) for tp, begin in begins.items()}
    return starts, {tp: (offset, begin) for tp, begin in begins.items() if offset < begin}


def _from_time(
    reader: RecordReader, begin: Bound, begins: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
) -> tuple[dict[TopicPartition, int], dict[TopicPartition, tuple[int, int]]]:
    """Starts that leave out nothing: no record before the first one of that time is of that time.

    The same cannot be done for an end, as records after the first one of a time may be older again.
    """
    firsts = reader.offsets_for_times(dict.fromkeys(begins, 0))
    found = reader.offsets_for_times(dict.fromkeys(begins, begin.time_ms or 0))
    starts, missing = {}, {}
    for tp, there in begins.items():
        offset = found[tp]
        if firsts[tp] is None:
            # Nothing there, or a cluster that cannot tell: everything is looked at.
            starts[tp] = there
        else:
            starts[tp] = ends[tp] if offset is None else min(max(offset, there), ends[tp])
            if there > 0 and offset == firsts[tp]:
                missing[tp] = (0, there)
    return starts, missing
