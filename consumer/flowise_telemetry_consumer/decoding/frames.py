"""Events as polars frames: the shape that everything between decoder and sink has.

Columns are the snake_case of the field names, in the order of the schema. A timestamp is ``Datetime("ms", "UTC")``, an
enum a ``String`` (its symbols may grow with the next version), an array a ``List`` and a record a ``Struct`` whose
fields are snake_case too.

Frames come from records one by one (``frame_of``) or from the columns of a block (``resolved_columns``), which also
resolves an older writer's schema to the newest one (Avro 1.12, "Schema Resolution").
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from flowise_telemetry_consumer.decoding.avro_block import decoded_value, is_readable
from flowise_telemetry_schemas import EventSchema, Field

__all__ = [
    "column_of",
    "frame_of",
    "polars_schema",
    "renamed_inside",
    "resolved_columns",
    "times_as_numbers",
    "typed_columns",
    "wire_records",
]

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
    """Return an event's columns and their types, in the order of its fields."""
    return dict(_dtypes(schema))


def frame_of(schema: EventSchema, records: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Return the frame of records as they are on the wire, with the fields of ``schema``.

    A field missing from a record takes its default. Raises polars' ``SchemaError`` or ``TypeError`` for a value of a
    wrong type, which decoded records do not contain.
    """
    return pl.DataFrame([column_of(field, records) for field in schema.fields])


def column_of(field: Field, records: Sequence[Mapping[str, Any]]) -> pl.Series:
    """Return one column of the frame of these records."""
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


def wire_records(schema: EventSchema, frame: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield the rows of a frame as records on the wire: what ``frame_of`` made the frame of."""
    for row in frame.with_columns(times_as_numbers(schema)).iter_rows(named=True):
        yield {field.name: _on_the_wire(field, row[field.column]) for field in schema.fields}


def _on_the_wire(field: Field, value: Any) -> Any:
    if value is None:
        return None
    if field.kind == "record":
        return {inner.name: _on_the_wire(inner, value[inner.column]) for inner in field.fields}
    if field.kind == "array" and field.items is not None:
        return [_on_the_wire(field.items, item) for item in value]
    return value


@functools.cache
def times_as_numbers(schema: EventSchema) -> Sequence[pl.Expr]:
    """Return the columns that hold a timestamp, at any depth, with numbers in its place, as on the wire."""
    numbers = [(field, _dtype(field, timestamp=pl.Int64())) for field in schema.fields]
    return [pl.col(field.column).cast(dtype) for field, dtype in numbers if dtype != _dtype(field)]


@functools.cache
def _dtypes(schema: EventSchema) -> dict[str, pl.DataType]:
    return {field.column: _dtype(field) for field in schema.fields}


def _dtype(field: Field, *, timestamp: pl.DataType = _SCALARS["timestamp"]) -> pl.DataType:
    if field.kind == "record":
        return pl.Struct({inner.column: _dtype(inner, timestamp=timestamp) for inner in field.fields})
    if field.kind == "array" and field.items is not None:
        return pl.List(_dtype(field.items, timestamp=timestamp))
    return timestamp if field.kind == "timestamp" else _SCALARS[field.kind]


def renamed_inside(field: Field) -> bool:
    """Return whether a nested field has another name in a frame than on the wire."""
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


@functools.cache
def resolved_columns(writer: EventSchema, reader: EventSchema) -> Sequence[pl.Expr] | None:
    """Return the columns of ``reader`` as expressions over a block of ``writer``, or None if that is impossible.

    It is impossible for a field added inside a nested record, for instance, or if polars cannot read the schema.
    """
    if not is_readable(writer):
        return None
    written = {field.name: field for field in writer.fields}
    columns: list[pl.Expr] = []
    for field in reader.fields:
        old = next((written[name] for name in (field.name, *field.aliases) if name in written), None)
        if old is None:
            if not field.has_default or field.fields or field.items is not None:
                return None
            columns.append(_default(field))
        elif _same_shape(old, field):
            columns.append(decoded_value(old).alias(field.column))
        else:
            return None
    return columns


@functools.cache
def typed_columns(schema: EventSchema) -> Sequence[pl.Expr]:
    """Return casts to the types of ``polars_schema``: a block has numbers for timestamps and longs for ints."""
    return [pl.col(column).cast(dtype) for column, dtype in polars_schema(schema).items()]


def _default(field: Field) -> pl.Expr:
    if field.default is None:
        # Typed, so that the constraints can be checked on it.
        dtype = {"int": pl.Int64(), "long": pl.Int64(), "timestamp": pl.Int64(), "boolean": pl.Boolean()}
        return pl.lit(None, dtype.get(field.kind, pl.String())).alias(field.column)
    return pl.lit(field.default).alias(field.column)


def _same_shape(old: Field, new: Field) -> bool:
    """Return whether the old field's column can be the new one's: the same types all the way down, no symbol lost."""
    if (old.kind, old.nullable) != (new.kind, new.nullable) or not set(old.symbols) <= set(new.symbols):
        return False
    if old.items is not None and new.items is not None:
        return _same_shape(old.items, new.items)
    return len(old.fields) == len(new.fields) and all(
        before.name == after.name and _same_shape(before, after)
        for before, after in zip(old.fields, new.fields, strict=True)
    )
