"""Frames to data files and back, and the schema of a table."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import polars as pl
from polars.datatypes import DataType, DataTypeClass

from flowise_telemetry_consumer.sinks.row_files import parquet_rows
from flowise_telemetry_consumer.sinks.rows import shape_of
from flowise_telemetry_schemas import EventSchema, Field

__all__ = ["DATE", "ROW_GROUP_ROWS", "decoded", "encoded", "merged_fields", "rows_of", "sorted_by_id", "table_fields"]

DATE = "date"
"""The column that tables are partitioned by; it stands in the log and not in the files."""

ROW_GROUP_ROWS = 25_000
"""Rows that are read and found together."""

_ARROW_TYPES, _PASSED_OVER = (b"\x18\x0c" + name + b"\x18" for name in (b"ARROW:schema", b"polars:types"))
"""Names in a data file's footer, between the marks of Thrift: a text, of twelve bytes, and the next text."""

_TYPES = {
    "string": "string",
    "uuid": "string",
    "enum": "string",
    "int": "integer",
    "long": "long",
    "boolean": "boolean",
    "timestamp": "timestamp",
}


def sorted_by_id(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows in the order of their ids; polars remembers of the ids that they are sorted."""
    ids = frame["event_id"]
    return frame.with_columns(ids.set_sorted()) if ids.is_sorted() else frame.sort("event_id")


def encoded(frame: pl.DataFrame) -> bytes:
    """Return a frame, whose rows are sorted by id, as a data file. Timestamps of Delta have microseconds."""
    times = [pl.col(name).cast(pl.Datetime("us", "UTC")) for name, dtype in frame.schema.items() if _is_time(dtype)]
    # polars makes a dictionary of plain columns by itself, of nested ones if they are categories: graphs take half of
    # the space, and of the time of whoever reads them. These categories are forgotten with the frame.
    texts = pl.Categorical(pl.Categories.random())
    nested = [pl.col(name).cast(_with_texts(its, texts)) for name, its in frame.schema.items() if its.is_nested()]
    file = io.BytesIO()
    # A higher level takes longer and saves nothing with files of this size.
    frame.with_columns(*times, *nested).write_parquet(
        file, compression="zstd", compression_level=1, row_group_size=ROW_GROUP_ROWS
    )
    return _of_plain_types(file.getvalue())


def _with_texts(dtype: DataType | DataTypeClass, texts: DataType) -> DataType | DataTypeClass:
    """Return a nested type with another type in place of its texts."""
    match dtype:
        case pl.List(inner=inner):
            return pl.List(_with_texts(inner, texts))
        case pl.Struct(fields=fields):
            return pl.Struct({its.name: _with_texts(its.dtype, texts) for its in fields})
        case pl.String():
            return texts
    return dtype


def _of_plain_types(data: bytes) -> bytes:
    """Return the data file with Parquet's own types alone.

    What polars adds for readers of Arrow says of texts with a dictionary that they are of another type than texts.
    Under a name of the same length readers pass it over, and no length in the file changes.
    """
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    found = data.rfind(_ARROW_TYPES, footer)  # the last: names follow the least and greatest values of columns
    return data if found < 0 else b"".join([data[:found], _PASSED_OVER, data[found + len(_PASSED_OVER) :]])


def decoded(schema: EventSchema, files: Iterable[bytes]) -> Iterator[pl.DataFrame]:
    """Yield the rows of whole files in the shape of the schema, those of neighbours with the same columns together."""
    for rows in parquet_rows(files):
        yield rows.select(shape_of(schema, rows.columns))


def rows_of(schema: EventSchema, scanned: pl.LazyFrame, *, batch_rows: int) -> Iterator[pl.DataFrame]:
    """Yield the rows of a file in the shape of the schema, at most ``batch_rows`` at a time.

    Columns that came with a later version than that of the file have the field's default, or null.
    """
    shaped = scanned.select(shape_of(schema, scanned.collect_schema()))
    rows: int = scanned.select(pl.len()).collect().item()
    step = max(batch_rows, ROW_GROUP_ROWS // batch_rows * batch_rows)
    for start in range(0, rows, step):
        yield from shaped.slice(start, step).collect().iter_slices(batch_rows)


def table_fields(schema: EventSchema) -> list[Any]:
    """Return the columns of an event's table as the log spells them. All may be null: older files lack some."""
    return [*(_column(field.column, _type(field), field.doc) for field in schema.fields), _column(DATE, "date")]


def merged_fields(there: Sequence[Any], wanted: Sequence[Any]) -> list[Any] | str:
    """Return columns with those that are missing added at the end, or the name of one that has another type."""
    merged = {field["name"]: field for field in there}
    for field in wanted:
        old = merged.get(field["name"])
        if old is None:
            merged[field["name"]] = field
        elif old["type"] != field["type"]:
            inner = _merged_type(old["type"], field["type"])
            if inner is None:
                return str(field["name"])
            merged[field["name"]] = {**old, "type": inner}
    return list(merged.values())


def _merged_type(there: Any, wanted: Any) -> Any:
    """Return a nested type with the fields of both; None where they are two types."""
    if there == wanted:
        return there
    if isinstance(there, dict) and isinstance(wanted, dict) and there["type"] == wanted["type"]:
        if there["type"] == "struct":
            fields = merged_fields(there["fields"], wanted["fields"])
            return None if isinstance(fields, str) else {**there, "fields": fields}
        if there["type"] == "array":
            items = _merged_type(there["elementType"], wanted["elementType"])
            return None if items is None else {**there, "elementType": items}
    return None


def _column(name: str, kind: Any, comment: str = "") -> Any:
    return {"name": name, "type": kind, "nullable": True, "metadata": {"comment": comment} if comment else {}}


def _type(field: Field) -> Any:
    if field.kind == "record":
        return {"type": "struct", "fields": [_column(inner.column, _type(inner)) for inner in field.fields]}
    if field.kind == "array" and field.items is not None:
        return {"type": "array", "elementType": _type(field.items), "containsNull": True}
    return _TYPES[field.kind]


def _is_time(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.Datetime)
