"""Events as polars frames: the shape that everything between decoder and sink has.

Columns are the snake_case of the field names, in the order of the schema. A timestamp is ``Datetime("ms", "UTC")``, an
enum a ``String`` (its symbols may grow with the next version), an array a ``List`` and a record a ``Struct`` whose
fields are snake_case too.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from flowise_telemetry_schemas import EventSchema, Field

__all__ = ["column_of", "frame_of", "polars_schema", "renamed_inside"]

_SCALARS: dict[str, pl.DataType] = {
    "string": pl.String(),
    "uuid": pl.String(),
    "enum": pl.String(),
    "int": pl.Int32(),
    "long": pl.Int64(),
    "boolean": pl.Boolean(),
    "timestamp": pl.Datetime("ms", "UTC"),
}


def polars_schema(schema: EventSchema) -> dict[str, pl.DataType]:
    """The columns of an event and their types, in the order of its fields."""
    return dict(_dtypes(schema))


def frame_of(schema: EventSchema, records: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """The frame of records in the shape of the wire, with the fields of ``schema``.

    A field that a record leaves out takes its default. Raises polars' ``SchemaError`` or ``TypeError`` for a value that
    is not of its field's type: records that were decoded have none.
    """
    return pl.DataFrame([column_of(field, records) for field in schema.fields])


def column_of(field: Field, records: Sequence[Mapping[str, Any]]) -> pl.Series:
    """One column of the frame of these records."""
    name, dtype = field.name, _dtype(field)
    if field.has_default:
        values = [record.get(name, field.default) for record in records]
    else:
        values = [record[name] for record in records]
    if renamed_inside(field):
        values = [_with_columns(field, value) for value in values]
    if field.kind == "timestamp":
        return pl.Series(field.column, values, pl.Int64()).cast(dtype)
    return pl.Series(field.column, values, dtype)


@functools.cache
def _dtypes(schema: EventSchema) -> dict[str, pl.DataType]:
    return {field.column: _dtype(field) for field in schema.fields}


def _dtype(field: Field) -> pl.DataType:
    if field.kind == "record":
        return pl.Struct({inner.column: _dtype(inner) for inner in field.fields})
    if field.kind == "array" and field.items is not None:
        return pl.List(_dtype(field.items))
    return _SCALARS[field.kind]


def renamed_inside(field: Field) -> bool:
    """Whether a nested field has another name in a frame than on the wire."""
    below = field.fields if field.items is None else (field.items,)
    return any((inner.name and inner.name != inner.column) or renamed_inside(inner) for inner in below)


def _with_columns(field: Field, value: Any) -> Any:
    if value is None:
        return None
    if field.kind == "record":
        return {inner.column: _with_columns(inner, value[inner.name]) for inner in field.fields}
    if field.kind == "array" and field.items is not None:
        return [_with_columns(field.items, item) for item in value]
    return value
