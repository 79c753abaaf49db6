"""Frames as lines of JSON, and back.

A line is an event as ``record_to_json`` writes it, ``{"event": "tool_created", "properties": {"eventId": …, …}}``: with
the names on the wire, and timestamps as RFC 3339 text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import polars as pl

from flowise_telemetry_consumer.decoding.frames import frame_of, renamed_inside
from flowise_telemetry_consumer.sinks.rows import TIMESTAMP_FORMAT
from flowise_telemetry_schemas import EventSchema, Field
from flowise_telemetry_schemas.json_mapping import milliseconds_of

__all__ = ["LINE_START", "frame_of_lines", "id_number", "lines_of", "without_known"]

LINE_START = b'{"event":"'
"""The start of every line that this sink writes."""


def lines_of(schema: EventSchema, frame: pl.DataFrame) -> bytes:
    """Return the lines of a frame, each with its line feed."""
    properties = pl.struct(_on_the_wire(pl.col(field.column), field) for field in schema.fields)
    whole = frame.select(pl.lit(schema.event).alias("event"), properties.alias("properties"))
    return whole.write_ndjson().encode()


def frame_of_lines(schema: EventSchema, lines: Iterable[bytes]) -> pl.DataFrame:
    """Return the frame of the lines of one event."""
    timestamps = [field.name for field in schema.fields if field.kind == "timestamp"]
    records = []
    for line in lines:
        record: dict[str, Any] = json.loads(line)["properties"]
        for name in timestamps:
            if record.get(name) is not None:
                record[name] = milliseconds_of(record[name])
        records.append(record)
    return frame_of(schema, records)


def without_known(frame: pl.DataFrame, known: set[int]) -> tuple[pl.DataFrame, set[int]]:
    """Return the rows whose event is neither known nor further up in the frame, and their ids as numbers."""
    fresh: set[int] = set()
    keep = []
    for event_id in frame["event_id"].to_list():
        number = id_number(event_id)
        is_fresh = number not in known and number not in fresh
        keep.append(is_fresh)
        if is_fresh:
            fresh.add(number)
    return (frame if len(fresh) == frame.height else frame.filter(pl.Series(keep))), fresh


def id_number(event_id: str) -> int:
    """Return a UUID as a number, a third of the memory of its text."""
    return int(event_id.replace("-", ""), 16)


def _on_the_wire(value: pl.Expr, field: Field) -> pl.Expr:
    if field.kind == "timestamp":
        value = value.dt.strftime(TIMESTAMP_FORMAT)
    elif renamed_inside(field):
        value = _renamed(value, field)
    return value.alias(field.name)


def _renamed(value: pl.Expr, field: Field) -> pl.Expr:
    if field.kind == "record":
        inner = (_renamed(value.struct.field(below.column), below).alias(below.name) for below in field.fields)
        return pl.when(value.is_not_null()).then(pl.struct(inner))
    if field.kind == "array" and field.items is not None and renamed_inside(field.items):
        return value.list.eval(_renamed(pl.element(), field.items))
    return value
