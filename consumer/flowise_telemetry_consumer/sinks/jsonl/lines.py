"""Frames as lines of JSON, and back.

A line is an event as ``record_to_json`` writes it, ``{"event": "tool_created", "properties": {"eventId": …, …}}``: with
the names on the wire, and timestamps as RFC 3339 text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import polars as pl

from flowise_telemetry_consumer.decoding.frames import frame_of, renamed_inside
from flowise_telemetry_consumer.sinks.rows import TIMESTAMP_FORMAT
from flowise_telemetry_schemas import EventSchema, Field, Violation
from flowise_telemetry_schemas.constraints import as_error, violations
from flowise_telemetry_schemas.json_mapping import wire_form

__all__ = ["LINE_START", "event_of", "frame_of_lines", "id_number", "lines_of", "without_known"]

LINE_START = b'{"event":"'
"""The start of every line that this sink writes."""


def lines_of(schema: EventSchema, frame: pl.DataFrame) -> bytes:
    """Return the lines of a frame, each with its line feed."""
    properties = pl.struct(_on_the_wire(pl.col(field.column), field) for field in schema.fields)
    whole = frame.select(pl.lit(schema.event).alias("event"), properties.alias("properties"))
    return whole.write_ndjson().encode()


def event_of(line: bytes) -> str | None:
    """Return the event that a line names, also where others wrote the line; None if it names none."""
    if line.startswith(LINE_START):
        end = line.find(b'"', len(LINE_START))
        return line[len(LINE_START) : end].decode(errors="replace")
    try:
        event = json.loads(line)["event"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return event if isinstance(event, str) else None


def frame_of_lines(schema: EventSchema, lines: Iterable[bytes]) -> pl.DataFrame:
    """Return the frame of the lines of one event. Raises ``ValidationError`` for one that does not fit into it."""
    records = []
    for line in lines:
        try:
            properties = json.loads(line)["properties"]
        except (ValueError, LookupError, TypeError, RecursionError):
            properties = None
        if not isinstance(properties, dict):
            raise as_error(schema.event, [Violation("properties", "type", "must be an object")])
        record, found = wire_form(schema, properties)
        if found:
            raise as_error(schema.event, found)
        records.append(record)
    try:
        return frame_of(schema, records)
    except Exception:
        # A field is missing, or of another type, which polars tells by many kinds of errors.
        for record in records:
            if found := violations(schema, record):
                raise as_error(schema.event, found) from None
        raise


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
