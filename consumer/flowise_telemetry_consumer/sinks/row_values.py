"""Rows of a database whose values others may have changed since they were written."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import polars as pl
from polars.exceptions import PanicException

from flowise_telemetry_consumer.decoding.frames import polars_schema
from flowise_telemetry_consumer.process import muted_native_code
from flowise_telemetry_consumer.sinks.rows import NESTED_KINDS, frame_of_rows
from flowise_telemetry_schemas import EventSchema, Field
from flowise_telemetry_schemas.constraints import INT_RANGE, LONG_RANGE
from flowise_telemetry_schemas.json_mapping import milliseconds_of, rfc3339

__all__ = ["frame_of_any_rows"]

_UNFIT_TEXT = "\N{REPLACEMENT CHARACTER}"

_FAILURES = (Exception, PanicException)
"""Whatever polars raises for a value of another type; a panic is not an Exception."""


def frame_of_any_rows(schema: EventSchema, rows: Sequence[Sequence[object]]) -> pl.DataFrame:
    """Return the frame of rows, as ``frame_of_rows``; a value that is not of its field's type becomes one that no
    field may hold: null, or a text outside every pattern where null is allowed.

    One such row must not keep the others from being read. What reads an archive checks every row, and sets it aside.
    """
    try:
        with muted_native_code():
            return frame_of_rows(schema, rows)
    except _FAILURES:
        checks = [_check_of(field, polars_schema(schema)[field.column]) for field in schema.fields]
        return frame_of_rows(schema, [[check(value) for check, value in zip(checks, row, strict=True)] for row in rows])


def _check_of(field: Field, dtype: pl.DataType) -> Callable[[object], object]:
    match field.kind:
        case "int" | "long":
            low, high = INT_RANGE if field.kind == "int" else LONG_RANGE
            return lambda value: value if isinstance(value, int) and low <= value <= high else None
        case "boolean":
            return lambda value: value if value in {True, False} else None
        case "timestamp":
            return _time_text
        case kind if kind in NESTED_KINDS:
            return lambda value: value if _is_json_of(value, dtype) else None
        case _:
            unfit = _UNFIT_TEXT if field.nullable and dtype == pl.String else None
            return lambda value: value if value is None or isinstance(value, str) else unfit


def _time_text(value: object) -> str | None:
    try:
        return rfc3339(milliseconds_of(value)) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None


def _is_json_of(value: object, dtype: pl.DataType) -> bool:
    if not isinstance(value, str):
        return False
    try:
        json.loads(value)  # polars decodes what it gets as one text: a part of one value could become another's
        with muted_native_code():
            pl.Series([value]).str.json_decode(dtype)
    except _FAILURES:
        return False
    return True
