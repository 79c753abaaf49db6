"""From one topic to another, byte for byte: key, value, headers and timestamp as they were."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from functools import partial

from flowise_telemetry_consumer.clock import Clock, SystemClock
from flowise_telemetry_consumer.decoding.decoder import Decoder
from flowise_telemetry_consumer.errors import IncompleteReadError
from flowise_telemetry_consumer.reading.range_reader import OffsetSpan, RangeReader
from flowise_telemetry_consumer.replay.offsets import resolve
from flowise_telemetry_consumer.replay.report import OnReplayProgress, PartitionResult, ReplayResult
from flowise_telemetry_consumer.replay.request import ReplayRequest, Shard
from flowise_telemetry_consumer.retry import retry_until
from flowise_telemetry_consumer.sinks.kafka_topic import TopicSink
from flowise_telemetry_schemas import Catalog
from flowise_telemetry_schemas.codec import HEADER_BYTES, MARKER
from flowise_telemetry_transport.ports import RecordReader
from flowise_telemetry_transport.types import OutgoingRecord, Record

__all__ = ["copy_topic"]

# The event's id is the first field of every record: its length, then 36 characters.
_EVENT_ID = slice(HEADER_BYTES + 1, HEADER_BYTES + 37)
_OTHER = "no event"


def copy_topic(
    reader: RecordReader,
    target: TopicSink,
    catalog: Catalog,
    arguments: ReplayRequest,
    *,
    shard: Shard | None = None,
    no_progress_seconds: float = 60.0,
    stop: threading.Event | None = None,
    on_progress: OnReplayProgress | None = None,
    clock: Clock | None = None,
) -> ReplayResult:
    """Writes the records of a range to another topic as they are, whatever they are.

    With a selection only those that it takes; by fields of the envelope it leaves out what cannot be decoded, which is
    then counted as dead. A topic keeps no progress: started again, it begins again, and what was copied twice is there
    twice with the same ``eventId``. Raises as ``replay``.
    """
    clock, stop = clock or SystemClock(), stop or threading.Event()
    resolution = resolve(reader, arguments, shard)
    span = resolution.span
    result = ReplayResult(
        span.topic,
        {
            tp: PartitionResult(start, span.ends[tp], start, missing=list(resolution.missing.get(tp, ())))
            for tp, start in span.starts.items()
        },
    )
    source = RangeReader(
        reader, span, clock=clock, topic_id=resolution.topic_id, no_progress_seconds=no_progress_seconds
    )
    try:
        for stretches in source.read(stop):
            for stretch in stretches:
                wanted, dead = _wanted(stretch, catalog, arguments)
                outgoing = [
                    OutgoingRecord(
                        target.topic,
                        record.key,
                        record.value,
                        record.headers,
                        timestamp_ms=record.timestamp_ms if record.timestamp_ms >= 0 else None,
                    )
                    for record in wanted
                ]
                retry_until(
                    partial(target.deliver, outgoing),
                    what="the topic",
                    clock=clock,
                    stop=stop,
                    limit_seconds=no_progress_seconds,
                )
                _account(result, stretch, wanted, dead, catalog)
            if on_progress is not None and stretches:
                on_progress(result)
    except IncompleteReadError as error:
        result.incomplete = error.message
    for tp, ranges in source.missing.items():
        result.partitions[tp].missing += ranges
    return result


def _wanted(stretch: OffsetSpan, catalog: Catalog, arguments: ReplayRequest) -> tuple[Sequence[Record], Counter[str]]:
    selection = arguments.selection
    records = selection.filter_records(stretch.records, catalog)
    if not selection.where:
        return records, Counter()
    decoded = Decoder(catalog).decode(records)
    frames = selection.filter_rows(decoded.frames, catalog)
    ids = {identity.encode() for frame in frames.values() for identity in frame["event_id"].to_list()}
    dead = {(letter.record.partition, letter.record.offset) for letter in decoded.dead}
    kept = [
        record
        for record in records
        if (record.value or b"")[_EVENT_ID] in ids and (record.partition, record.offset) not in dead
    ]
    return kept, Counter(letter.reason for letter in decoded.dead)


def _account(
    result: ReplayResult, stretch: OffsetSpan, copied: Sequence[Record], dead: Counter[str], catalog: Catalog
) -> None:
    part = result.partitions[stretch.partition]
    dead = dead + Counter(letter.reason for letter in stretch.unreadable)
    part.position = stretch.end
    part.gaps += stretch.gaps
    part.written += len(copied)
    part.dead += dead.total()
    part.filtered += len(stretch.records) + len(stretch.unreadable) - len(copied) - dead.total()
    result.dead += dead
    heads = Counter((record.value or b"")[:HEADER_BYTES] for record in copied)
    for head, count in heads.items():
        schema = catalog.by_fingerprint(head.removeprefix(MARKER)) if head.startswith(MARKER) else None
        result.written[_OTHER if schema is None else schema.event] += count
