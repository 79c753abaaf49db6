"""Columns of an older version of a schema as those of the newest (Avro specification 1.12, "Schema ResolvedRange")."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import polars as pl

from flowise_telemetry_consumer.decoding.avro_block import is_readable, value_of
from flowise_telemetry_consumer.decoding.frames import polars_schema
from flowise_telemetry_schemas import EventSchema, Field

__all__ = ["final_columns", "resolved_columns"]


@functools.cache
def resolved_columns(writer: EventSchema, reader: EventSchema) -> Sequence[pl.Expr] | None:
    """The columns of ``reader`` from those that ``avro_block.columns_of`` gives for ``writer``.

    None where columns are not enough, as for a field that was added inside a nested record, and where polars cannot
    read what ``writer`` wrote.
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
            columns.append(value_of(old).alias(field.column))
        else:
            return None
    return columns


@functools.cache
def final_columns(schema: EventSchema) -> Sequence[pl.Expr]:
    """The columns in the types that ``polars_schema`` names: timestamps from numbers, ints from longs."""
    return [pl.col(column).cast(dtype) for column, dtype in polars_schema(schema).items()]


def _default(field: Field) -> pl.Expr:
    if field.default is None:
        # Of its type, so that the constraints can be asked of it.
        dtype = {"int": pl.Int64(), "long": pl.Int64(), "timestamp": pl.Int64(), "boolean": pl.Boolean()}
        return pl.lit(None, dtype.get(field.kind, pl.String())).alias(field.column)
    return pl.lit(field.default).alias(field.column)


def _same_shape(old: Field, new: Field) -> bool:
    """Whether a column of the old field is one of the new: the same types all the way down, no symbol lost."""
    if (old.kind, old.nullable) != (new.kind, new.nullable) or not set(old.symbols) <= set(new.symbols):
        return False
    if old.items is not None and new.items is not None:
        return _same_shape(old.items, new.items)
    return len(old.fields) == len(new.fields) and all(
        before.name == after.name and _same_shape(before, after)
        for before, after in zip(old.fields, new.fields, strict=True)
    )
