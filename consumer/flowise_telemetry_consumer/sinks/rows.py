"""Conversion of frames to rows of a database, and back.

In a row a timestamp is RFC 3339 text in UTC with milliseconds, which sorts and which databases understand; an array or
record is JSON; other values are unchanged.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence, Set

import polars as pl

from flowise_telemetry_consumer.decoding.frames import column_of, polars_schema
from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_schemas import EventSchema, Field

__all__ = [
    "NESTED_KINDS",
    "TIMESTAMP_FORMAT",
    "default_in_row",
    "frame_of_rows",
    "newest",
    "require_columns",
    "require_values",
    "rows_frame",
    "shape_of",
    "text_columns",
]

NESTED_KINDS = ("array", "record")
TIMESTAMP_FORMAT = "%Y-%m-%dT%H:%M:%S%.3fZ"


def newest(schemas: Iterable[EventSchema]) -> dict[str, EventSchema]:
    """Return the newest version of each event by name, sorted: writers that lock in one order cannot deadlock."""
    ordered = sorted(schemas, key=lambda schema: (schema.event, schema.version))
    return {schema.event: schema for schema in ordered}


def require_columns(url: str, table: str, schema: EventSchema, held: Set[str]) -> None:
    """Raise ``SinkError`` unless a table holds every column of the schema. ``held`` is empty if there is no table."""
    missing = [field.column for field in schema.fields if field.column not in held]
    if missing:
        what = f"columns {', '.join(missing)} in the table {table}" if held else f"table {table}"
        raise SinkError(f"{url} has no {what}: a consumer creates them when it starts", event=schema.event)


def require_values(url: str, schema: EventSchema, frame: pl.DataFrame) -> None:
    """Raise ``SinkError`` for a null where a field takes none: for sinks that would store it, or a default instead."""
    for field in schema.fields:
        if not field.nullable and field.column in frame.columns and frame[field.column].null_count():
            raise SinkError(
                f"{url} refused: {schema.event}.{field.column} is null", event=schema.event, field=field.name
            )


def rows_frame(schema: EventSchema, frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame whose columns hold only text, numbers and booleans, in the order of the schema."""
    return frame.select(_to_row(field) for field in schema.fields)


def default_in_row(field: Field) -> str | int | None:
    """Return a field's default in the form of a row; None if there is no default or it is null.

    Tables declare it, so that rows older than a column read as the schema says, and a consumer of the older version can
    keep writing beside a newer one.
    """
    if not field.has_default or field.default is None:
        return None
    value: str | int | None = pl.DataFrame([column_of(field, [{}])]).select(_to_row(field)).item()
    return value


def frame_of_rows(schema: EventSchema, rows: Sequence[Sequence[object]]) -> pl.DataFrame:
    """Return the frame of rows that have the columns of the schema, in its order."""
    # Not strict: SQLite returns booleans as 0 and 1.
    frame = pl.DataFrame(rows, schema=text_columns(schema), orient="row", strict=False)
    return frame.select(shape_of(schema, frame.columns, nested_as_text=True))


def text_columns(schema: EventSchema) -> dict[str, pl.DataType]:
    """Return the columns of ``rows_frame`` and their types."""
    wanted = polars_schema(schema)
    return {
        field.column: pl.String() if field.kind in (*NESTED_KINDS, "timestamp") else wanted[field.column]
        for field in schema.fields
    }


def shape_of(schema: EventSchema, there: Container[str], *, nested_as_text: bool = False) -> list[pl.Expr]:
    """Return the columns of ``polars_schema`` as expressions over rows that have the columns ``there``.

    Columns that came with a later version than that of the rows have the field's default, or null. ``nested_as_text``
    where the rows are in the form of ``rows_frame``.
    """
    wanted = polars_schema(schema)
    return [
        _default(field, wanted[field.column])
        if field.column not in there
        else _from_row(field, wanted[field.column])
        if nested_as_text
        else pl.col(field.column).cast(wanted[field.column])
        for field in schema.fields
    ]


def _to_row(field: Field) -> pl.Expr:
    column = pl.col(field.column)
    match field.kind:
        case "timestamp":
            return column.dt.strftime(TIMESTAMP_FORMAT)
        case "record":
            return pl.when(column.is_not_null()).then(column.struct.json_encode())
        case "array":
            # polars encodes structs only: {"tags":[…]} without its first and last characters is the array.
            encoded = pl.struct(column).struct.json_encode()
            around = len(f'{{"{field.column}":')
            return pl.when(column.is_not_null()).then(encoded.str.slice(around).str.head(-1)).alias(field.column)
        case _:
            return column


def _from_row(field: Field, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(field.column)
    match field.kind:
        case "timestamp":
            return column.str.to_datetime(TIMESTAMP_FORMAT, time_unit="ms", time_zone="UTC")
        case "record" | "array":
            return column.str.json_decode(dtype)
        case _:
            return column


def _default(field: Field, dtype: pl.DataType) -> pl.Expr:
    if not field.has_default:
        return pl.lit(None, dtype).alias(field.column)
    return pl.lit(column_of(field, [{}])).first().alias(field.column)
