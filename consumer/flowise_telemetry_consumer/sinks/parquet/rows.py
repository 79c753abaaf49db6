"""Conversion of frames to Parquet and back."""

from __future__ import annotations

import io
from collections.abc import Iterator

import polars as pl

from flowise_telemetry_consumer.decoding.frames import column_of, polars_schema
from flowise_telemetry_schemas import EventSchema, Field

__all__ = ["ROW_GROUP_ROWS", "encoded", "null_column", "rows_of"]

ROW_GROUP_ROWS = 25_000
"""Rows per row group."""


def null_column(schema: EventSchema, frame: pl.DataFrame) -> str | None:
    """Return a column with a null where its field takes none, which a file, unlike a table, does not refuse."""
    required = [field.column for field in schema.fields if not field.nullable and field.column in frame.columns]
    counts = frame.select(required).null_count().row(0)
    return next((column for column, count in zip(required, counts, strict=True) if count), None)


def encoded(frame: pl.DataFrame) -> bytes:
    """Return a frame as a Parquet file."""
    file = io.BytesIO()
    # A higher level takes longer and saves nothing with files of this size.
    frame.write_parquet(file, compression="zstd", compression_level=1, row_group_size=ROW_GROUP_ROWS)
    return file.getvalue()


def rows_of(schema: EventSchema, scanned: pl.LazyFrame, *, batch_rows: int) -> Iterator[pl.DataFrame]:
    """Yield the rows of a file in the shape of the schema, at most ``batch_rows`` at a time.

    Columns that a later version of the schema added have the field's default, or null.
    """
    there = scanned.collect_schema()
    wanted = polars_schema(schema)
    shaped = scanned.select(
        pl.col(field.column).cast(wanted[field.column])
        if field.column in there
        else _default(field, wanted[field.column])
        for field in schema.fields
    )
    rows: int = scanned.select(pl.len()).collect().item()
    step = max(batch_rows, ROW_GROUP_ROWS // batch_rows * batch_rows)
    for start in range(0, rows, step):
        yield from shaped.slice(start, step).collect().iter_slices(batch_rows)


def _default(field: Field, dtype: pl.DataType) -> pl.Expr:
    if not field.has_default:
        return pl.lit(None, dtype).alias(field.column)
    return pl.lit(column_of(field, [{}])).first().alias(field.column)
