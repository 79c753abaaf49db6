"""Lines that our own sink wrote, decoded many at a time.

A frame is made of them and written again: a line that comes out byte for byte as it went in is certainly what the frame
says. All others, valid or not, are left to be parsed one by one.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl
from polars.exceptions import PanicException

from flowise_telemetry_consumer.decoding.frames import polars_schema, renamed_inside, times_as_numbers
from flowise_telemetry_consumer.sinks.jsonl.lines import LINE_START, lines_of
from flowise_telemetry_consumer.sinks.rows import TIMESTAMP_FORMAT
from flowise_telemetry_schemas import EventSchema

__all__ = ["event_of", "own_rows"]

_MIN_LINES = 16
_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class _Rows:
    places: Sequence[int]
    frame: pl.DataFrame


def event_of(line: bytes) -> bytes | None:
    """Return the event's name in a line that starts as ours do."""
    if not line.startswith(LINE_START):
        return None
    end = line.find(b'"', len(LINE_START), len(LINE_START) + _LONGEST_NAME)
    return line[len(LINE_START) : end] if end > 0 else None


def own_rows(schema: EventSchema, lines: Sequence[bytes]) -> tuple[Sequence[int], pl.DataFrame | None]:
    """Return the places of lines that our sink wrote, ascending, and their rows; nothing is said of the others."""
    if len(lines) < _MIN_LINES or not _can_be_decoded(schema):
        return (), None
    # Another program's lines differ all alike: a few tell.
    if not any(its.places for its in _identical(schema, lines[:_MIN_LINES], 0)):
        return (), None
    parts = [its for its in _identical(schema, lines, 0) if its.places]
    parts.sort(key=lambda its: its.places[0])
    return [place for its in parts for place in its.places], pl.concat([its.frame for its in parts]) if parts else None


def _identical(schema: EventSchema, lines: Sequence[bytes], first: int) -> Iterator[_Rows]:
    frame = _decoded(schema, lines)
    if frame is None:
        if len(lines) > _MIN_LINES:  # halved until the lines at fault are nearly alone
            half = len(lines) // 2
            yield from _identical(schema, lines[:half], first)
            yield from _identical(schema, lines[half:], first + half)
        return
    again = lines_of(schema, frame).split(b"\n")[:-1]
    if again == lines:
        yield _Rows(range(first, first + len(lines)), frame)
        return
    same = [one == other for one, other in zip(again, lines, strict=True)]
    yield _Rows([first + place for place, its in enumerate(same) if its], frame.filter(pl.Series(same)))


def _decoded(schema: EventSchema, lines: Sequence[bytes]) -> pl.DataFrame | None:
    try:
        texts = pl.Series([line.decode() for line in lines], dtype=pl.String())
        frame = (
            texts.str.json_decode(_shape(schema)).struct.field("properties").struct.unnest().select(_columns(schema))
        )
    except (Exception, PanicException):  # any that bytes of others can cause; a panic is not an Exception
        return None
    return frame if frame.height == len(lines) else None


@functools.cache
def _can_be_decoded(schema: EventSchema) -> bool:
    """Return whether names inside a field are the same in a frame, and times are outside of fields."""
    outside = {field.column for field in schema.fields if field.kind == "timestamp"}
    return not any(map(renamed_inside, schema.fields)) and len(times_as_numbers(schema)) == len(outside)


@functools.cache
def _shape(schema: EventSchema) -> pl.DataType:
    shape = polars_schema(schema)
    fields = {field.name: pl.String() if field.kind == "timestamp" else shape[field.column] for field in schema.fields}
    return pl.Struct({"event": pl.String(), "properties": pl.Struct(fields)})


@functools.cache
def _columns(schema: EventSchema) -> Sequence[pl.Expr]:
    return [
        (
            pl.col(field.name).str.to_datetime(TIMESTAMP_FORMAT, time_unit="ms", time_zone="UTC", strict=False)
            if field.kind == "timestamp"
            else pl.col(field.name)
        ).alias(field.column)
        for field in schema.fields
    ]
