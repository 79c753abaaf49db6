"""The offsets of a request, resolved when a replay starts."""

from __future__ import annotations

from collections.abc import Mapping

from flowise_telemetry_consumer.reading.offset_range import OffsetRange
from flowise_telemetry_consumer.replay.bounds import Bound
from flowise_telemetry_consumer.replay.request import ReplayRequest, Shard
from flowise_telemetry_consumer.replay.resolved_range import ResolvedRange
from flowise_telemetry_schemas import ConfigurationError
from flowise_telemetry_transport.ports import RecordReader
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["resolve"]


def resolve(reader: RecordReader, request: ReplayRequest, shard: Shard | None = None) -> ResolvedRange:
    """Return the offsets of a request for the topic's current state.

    Raises ``UnknownTopicError``, ``BrokerUnavailableError``, and ``ConfigurationError`` for a partition that does not
    exist and for a range that is empty in every partition.
    """
    # The first look-up: what arrives after it is not taken for records of an open transaction.
    high_watermarks = reader.high_watermarks(reader.partitions_of(request.topic))
    whole = OffsetRange.of(reader, request.topic)
    partitions = _chosen(whole, request)
    begins = {tp: whole.starts[tp] for tp in partitions}
    ends = {tp: whole.ends[tp] for tp in partitions}
    if request.end is not None and request.end.offset is not None:
        limit = request.end.offset
        if request.begin is None and any(begins.values()) and all(limit <= begin for begin in begins.values()):
            raise ConfigurationError(
                f"the range is empty: {request.topic} has nothing left before offset {limit}", argument="end"
            )
        ends = {tp: min(end, limit) for tp, end in ends.items()}
        high_watermarks = {tp: min(high, limit) for tp, high in high_watermarks.items()}
    starts = begins
    missing: dict[TopicPartition, tuple[int, int]] = {}
    if request.begin is not None and request.begin.offset is not None:
        starts, missing = _from_offset(request.topic, request.begin.offset, begins, whole.ends)
    elif request.begin is not None and not request.begin.is_beginning:
        starts, missing = _from_time(reader, request.begin, begins, whole.ends)
    if shard is not None:
        partitions = shard.share_of(partitions)
    offsets = OffsetRange(
        request.topic,
        # A range may end before the first offset that retention left.
        {tp: min(starts[tp], ends[tp]) for tp in partitions},
        {tp: ends[tp] for tp in partitions},
    )
    within = {tp: (first, min(last, ends[tp])) for tp, (first, last) in missing.items() if tp in offsets.starts}
    return ResolvedRange(
        offsets,
        {tp: [(first, last)] for tp, (first, last) in within.items() if first < last},
        reader.topic_id(request.topic),
        {tp: (ends[tp], high_watermarks[tp]) for tp in partitions if ends[tp] < high_watermarks.get(tp, 0)},
    )


def _chosen(whole: OffsetRange, request: ReplayRequest) -> tuple[TopicPartition, ...]:
    there = {tp.partition: tp for tp in sorted(whole.starts)}
    unknown = [number for number in request.partitions if number not in there]
    if unknown:
        raise ConfigurationError(
            f"topic {request.topic} has no partition {unknown[0]}; it has the partitions 0 to {max(there)}",
            topic=request.topic,
            argument="partitions",
        )
    return tuple(there[number] for number in request.partitions or there)


def _from_offset(
    topic: str, offset: int, begins: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
) -> tuple[dict[TopicPartition, int], dict[TopicPartition, tuple[int, int]]]:
    if offset and all(offset >= ends[tp] for tp in begins):
        listed = ", ".join(f"{tp.partition}: {ends[tp]}" for tp in begins)
        raise ConfigurationError(
            f"the range is empty: no partition of {topic} reaches offset {offset} ({listed})",
            topic=topic,
            argument="begin",
        )
    starts = {tp: min(max(offset, begin), max(ends[tp], begin)) for tp, begin in begins.items()}
    return starts, {tp: (offset, begin) for tp, begin in begins.items() if offset < begin}


def _from_time(
    reader: RecordReader, begin: Bound, begins: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
) -> tuple[dict[TopicPartition, int], dict[TopicPartition, tuple[int, int]]]:
    """Return starts that skip no wanted record: none before the first offset of a time has that time or a later one.

    An end cannot be found that way, because records after the first of that time may be older again. See
    ``offsetsForTimes`` of Kafka's consumer: the earliest offset whose timestamp is at or after the given time.
    """
    firsts = reader.offsets_for_times(dict.fromkeys(begins, 0))
    found = reader.offsets_for_times(dict.fromkeys(begins, begin.time_ms or 0))
    starts, missing = {}, {}
    for tp, there in begins.items():
        offset = found[tp]
        if firsts[tp] is None:
            # Nothing there, or a cluster without a time index: read everything and filter.
            starts[tp] = there
        else:
            starts[tp] = ends[tp] if offset is None else min(max(offset, there), ends[tp])
            if there > 0 and offset == firsts[tp]:
                missing[tp] = (0, there)
    return starts, missing
