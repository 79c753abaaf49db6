"""The two tables of a sink's account, in the form in which sinks make tables of events."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from flowise_telemetry_schemas import EventSchema, catalog
from flowise_telemetry_schemas.envelope import STREAM_STATE

__all__ = [
    "ACCOUNT_TABLES",
    "DROPPED",
    "LETTERS_TABLE",
    "STREAMS_TABLE",
    "account_schema",
    "dropped_columns",
    "filed_streams",
    "held_part",
]

STREAMS_TABLE = "flowise_telemetry_streams"
"""Rows of a stream, a batch and a day: what was added, and what the stream told of itself."""

LETTERS_TABLE = "flowise_telemetry_dead_letters"
"""A row per dead letter: where it came from and why, without its bytes."""

ACCOUNT_TABLES = (STREAMS_TABLE, LETTERS_TABLE)

DROPPED = "dropped_"
"""Beginning of the columns in which a stream tells what it dropped; the reason follows."""


@functools.cache
def dropped_columns() -> tuple[str, ...]:
    """Return the columns of drops that the newest schema of ``stream_state`` has, one for each reason."""
    fields = catalog().latest(STREAM_STATE).fields
    return tuple(field.column for field in fields if field.column.startswith(DROPPED))


@functools.cache
def account_schema(table: str) -> EventSchema:
    """Return the columns of one of ``ACCOUNT_TABLES``. It is no event: no catalog has it, and nothing encodes it."""
    fields = _streams() if table == STREAMS_TABLE else _letters()
    source = {"type": "record", "name": table, "namespace": "flowise.telemetry.account", "fields": fields}
    return EventSchema.read(table, 1, source)


@functools.cache
def held_part(table: str, held: frozenset[str]) -> EventSchema:
    """Return the columns of a table that an older version may have made: those that it holds."""
    schema = account_schema(table)
    return replace(schema, fields=tuple(field for field in schema.fields if field.column in held))


@functools.cache
def filed_streams(*, by_event: bool) -> EventSchema:
    """Return the columns of ``STREAMS_TABLE`` for sinks whose tables need an id; ``by_event`` with the event's name."""
    source = account_schema(STREAMS_TABLE).source
    event = [_field("event", "string", "Name of the event.")] if by_event else []
    fields = [_field("eventId", _UUID, "Id of the row."), *event, *source["fields"]]
    return EventSchema.read(STREAMS_TABLE, 1, {**source, "fields": fields})


def _streams() -> Sequence[Mapping[str, Any]]:
    """Return sums and extremes only, so that rows are merged in any order: ``rows.merged``."""
    names = {field.column: field.name for field in catalog().latest(STREAM_STATE).fields}
    doc = "Of these, events that the stream told were dropped."
    drops = [_count(names[column], doc) for column in dropped_columns()]
    return [
        _field("streamId", _UUID, "Id of the stream."),
        _field("instanceId", _UUID, "Anonymous id of the installation in that month."),
        _field("firstAt", _TIME, "When the first of these records occurred, UTC."),
        _field("occurredAt", _TIME, "When the last of these records occurred, UTC: on the same day."),
        _field("highest", ["null", "long"], "Highest sequence of the events added; null for none."),
        _count("added", "Events that were new to the sink."),
        _count("numbered", "Events that the stream told it had numbered so far."),
        _count("settled", "Of these, events that the stream told were acknowledged or dropped."),
        *drops,
        {**_field("ended", "boolean", "True once the stream told that it numbers no more."), "default": False},
    ]


def _letters() -> Sequence[Mapping[str, Any]]:
    return [
        _field("eventId", _UUID, "Id made of the record's place and time: the same whoever reads it."),
        _field("occurredAt", _TIME, "Time of the record, UTC; that of filing where it has none."),
        _field("reason", "string", "Why it is no event."),
        _field("topic", "string", "Topic from which it was read."),
        _field("partition", "int", "Its partition."),
        _field("recordOffset", "long", "Its offset."),
    ]


_UUID = {"type": "string", "logicalType": "uuid"}
_TIME = {"type": "long", "logicalType": "timestamp-millis"}


def _field(name: str, avro_type: object, doc: str) -> dict[str, Any]:
    return {"name": name, "type": avro_type, "doc": doc}


def _count(name: str, doc: str) -> dict[str, Any]:
    return {**_field(name, "long", doc), "default": 0}
