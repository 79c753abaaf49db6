"""Copy a topic to another one byte for byte: key, value, headers and timestamp unchanged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial

from flowise_telemetry_consumer.decoding.decoder import Decoder
from flowise_telemetry_consumer.decoding.framing import schema_of, single_object
from flowise_telemetry_consumer.errors import OutageError
from flowise_telemetry_consumer.reading.offset_range import OffsetSpan
from flowise_telemetry_consumer.reading.range_reader import RangeReader
from flowise_telemetry_consumer.replay.filters import RecordFilter
from flowise_telemetry_consumer.replay.offsets import resolve
from flowise_telemetry_consumer.replay.report import OnReport, ReplayResult, add_missing, unread_partitions
from flowise_telemetry_consumer.replay.request import ReplayRequest, Shard
from flowise_telemetry_consumer.retry import DEFAULT_CONTROL, RunControl, retry_until
from flowise_telemetry_consumer.sinks.kafka_topic import TopicSink
from flowise_telemetry_schemas import Catalog
from flowise_telemetry_schemas.codec import HEADER_BYTES
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
    request: ReplayRequest,
    *,
    shard: Shard | None = None,
    control: RunControl = DEFAULT_CONTROL,
    on_report: OnReport | None = None,
) -> ReplayResult:
    """Write the records of a range to another topic unchanged, valid events or not.

    A filter selects records. Filtering by fields decodes the records: those that cannot be decoded are left out and
    counted as dead. A topic keeps no progress: a copy that is started again begins at the start, and duplicates
    records, with the same ``eventId``. Raises as ``replay``.
    """
    resolved = resolve(reader, request, shard)
    offsets = resolved.offsets
    result = ReplayResult(offsets.topic, unread_partitions(resolved, offsets.starts))
    source = RangeReader(reader, offsets, control, topic_id=resolved.topic_id)
    try:
        for poll in source:
            add_missing(result.partitions, poll.missing)
            for span in poll.spans:
                choose = partial(_wanted, span, catalog, request.record_filter)
                wanted, dead = retry_until(choose, control, what="the schema registry")
                written = retry_until(partial(_by_event, wanted, catalog), control, what="the schema registry")
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
                retry_until(partial(target.deliver, outgoing), control, what="the topic")
                _account(result, span, written, dead)
            if on_report is not None and poll.spans:
                on_report(result)
    except OutageError as error:
        result.incomplete = error.message
    if source.incomplete is not None:
        result.incomplete = source.incomplete.message
    return result


def _wanted(span: OffsetSpan, catalog: Catalog, record_filter: RecordFilter) -> tuple[Sequence[Record], Counter[str]]:
    records = record_filter.filter_records(span.records, catalog)
    if not record_filter.where:
        return records, Counter()
    decoded = Decoder(catalog).decode(records)
    frames = record_filter.filter_rows(decoded.frames, catalog)
    ids = {identity.encode() for frame in frames.values() for identity in frame["event_id"].to_list()}
    dead = {(letter.record.partition, letter.record.offset) for letter in decoded.dead}
    kept = [
        record
        for record in records
        if (record.partition, record.offset) not in dead
        and (single_object(record.value, record.headers, catalog) or b"")[_EVENT_ID] in ids
    ]
    return kept, Counter(letter.reason for letter in decoded.dead)


def _by_event(copied: Sequence[Record], catalog: Catalog) -> Counter[str]:
    schemas = (schema_of(record, catalog) for record in copied)
    return Counter(_OTHER if schema is None else schema.event for schema in schemas)


def _account(result: ReplayResult, span: OffsetSpan, written: Counter[str], dead: Counter[str]) -> None:
    part = result.partitions[span.partition]
    dead = dead + Counter(letter.reason for letter in span.unreadable)
    part.position = span.end
    part.gaps += span.gaps
    part.written += written.total()
    part.dead += dead.total()
    part.filtered += len(span.records) + len(span.unreadable) - written.total() - dead.total()
    result.dead += dead
    result.written += written
