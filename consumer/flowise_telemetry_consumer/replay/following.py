"""A topic as it grows, outside any consumer group: each record decoded, or with the reason why it is no event."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from flowise_telemetry_consumer.clock import Clock, SystemClock
from flowise_telemetry_consumer.dead_letter import DeadLetter
from flowise_telemetry_consumer.decoding.decoder import Decoded, Decoder
from flowise_telemetry_consumer.decoding.framing import schema_of
from flowise_telemetry_consumer.reading.source import SkippingReader
from flowise_telemetry_consumer.replay.filters import RecordFilter
from flowise_telemetry_consumer.retry import RunControl, retry_until
from flowise_telemetry_consumer.sinks.jsonl.lines import lines_of
from flowise_telemetry_schemas import Catalog, TelemetryError
from flowise_telemetry_transport.ports import RecordReader
from flowise_telemetry_transport.types import Record, TopicPartition

__all__ = ["Followed", "follow"]

logger = logging.getLogger("flowise_telemetry.consumer")

_POLL_SECONDS = 0.5
_POLL_RECORDS = 500
_ROW = "flowise_telemetry_row"


@dataclass(frozen=True, slots=True)
class Followed:
    """A record of the topic: ``event`` as ``record_to_json`` gives it, or a ``letter`` that says why it is none."""

    record: Record
    event: Mapping[str, Any] | None
    letter: DeadLetter | None = None


def follow(
    reader: RecordReader,
    catalog: Catalog,
    starts: Mapping[TopicPartition, int],
    record_filter: RecordFilter,
    *,
    stop: threading.Event,
    clock: Clock | None = None,
) -> Iterator[Sequence[Followed]]:
    """Yield what each poll brings, in its order, until ``stop`` is set; may be empty. Commits nothing.

    What is no event is left out where the filter asks for values of fields, as it has none. Waits for an unreachable
    broker; raises ``TransportError`` that is not retryable.
    """
    clock = clock or SystemClock()
    source, decoder, control = SkippingReader(reader, clock), Decoder(catalog), RunControl(stop=stop, clock=clock)
    reader.assign(dict(starts))
    while not stop.is_set():
        polled = source.poll(timeout_seconds=_POLL_SECONDS, max_records=_POLL_RECORDS)
        for gone in reader.expired():
            logger.warning(
                "%s[%d]: offsets %d to %d were removed by retention before they were read",
                *(gone.partition.topic, gone.partition.partition, gone.first, gone.end - 1),
            )

        def decoded(records: Sequence[Record] = polled.records) -> tuple[Sequence[Record], Decoded]:
            wanted = record_filter.filter_records(records, catalog)
            return wanted, decoder.decode(wanted)

        try:
            wanted, found = retry_until(decoded, control, what="decode")
        except TelemetryError:
            if stop.is_set():
                return
            raise
        events = [] if not wanted else _in_order(wanted, found, catalog, record_filter)
        unreadable = [Followed(letter.record, None, letter) for letter in polled.unreadable]
        yield [*events, *unreadable] if not record_filter.where else [its for its in events if its.letter is None]


def _in_order(
    records: Sequence[Record], decoded: Decoded, catalog: Catalog, record_filter: RecordFilter
) -> list[Followed]:
    """Return the records that are wanted in their order: rows of an event are in that of its records."""
    letters = {(its.record.partition, its.record.offset): its for its in decoded.dead}
    numbered = {event: frame.with_row_index(_ROW) for event, frame in decoded.frames.items()}
    lines: dict[str, dict[int, bytes]] = {}
    for event, frame in record_filter.filter_rows(numbered, catalog).items():
        rows: pl.DataFrame = frame.drop(_ROW)
        lines[event] = dict(zip(frame[_ROW], lines_of(catalog.latest(event), rows).splitlines(), strict=True))
    seen: dict[str, int] = {}
    found = []
    for record in records:
        letter = letters.get((record.partition, record.offset))
        if letter is not None:
            found.append(Followed(record, None, letter))
            continue
        schema = schema_of(record, catalog)
        assert schema is not None  # noqa: S101 - what is no dead letter was decoded by it
        row = seen[schema.event] = seen.get(schema.event, -1) + 1
        if (line := lines.get(schema.event, {}).get(row)) is not None:
            found.append(Followed(record, json.loads(line)))
    return found
