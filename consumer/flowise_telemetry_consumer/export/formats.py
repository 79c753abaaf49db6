"""The two formats of files: Parquet with nested graphs, CSV with graphs as JSON and times as RFC 3339."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import polars as pl

from flowise_telemetry_consumer.sinks.row_files import parquet_rows
from flowise_telemetry_consumer.sinks.rows import rows_frame, shape_of, text_columns
from flowise_telemetry_schemas import EventSchema

__all__ = ["FORMATS", "decoded", "encoded", "in_pieces"]

FORMATS = ("parquet", "csv")

_ROW_GROUP_ROWS = 25_000
_CSV_ROWS = 2_000


def encoded(schema: EventSchema, frame: pl.DataFrame, file_format: str) -> bytes:
    """Return rows as a file."""
    file = io.BytesIO()
    if file_format == "csv":
        # In pieces: as text, graphs are several times as large.
        for number, piece in enumerate(frame.iter_slices(_CSV_ROWS)):
            rows_frame(schema, piece).write_csv(file, include_header=number == 0)
    else:
        frame.write_parquet(file, compression="zstd", compression_level=1, row_group_size=_ROW_GROUP_ROWS)
    return file.getvalue()


def decoded(schema: EventSchema, files: Sequence[Path]) -> Iterator[pl.DataFrame]:
    """Yield the rows of whole files, all of one format, in the shape of the schema."""
    is_csv = files[0].suffix == ".csv"
    data = (file.read_bytes() for file in files)
    for rows in _csv_rows(schema, data) if is_csv else parquet_rows(data):
        yield rows.select(shape_of(schema, rows.columns, nested_as_text=is_csv))


def in_pieces(schema: EventSchema, file: Path, *, batch_rows: int) -> Iterator[pl.DataFrame]:
    """Yield the rows of a larger file in the shape of the schema, some at a time; CSV is read whole."""
    if file.suffix == ".csv":
        yield from decoded(schema, [file])
        return
    lazy = pl.scan_parquet(file, glob=False, hive_partitioning=False)
    shaped = lazy.select(shape_of(schema, lazy.collect_schema()))
    rows: int = lazy.select(pl.len()).collect().item()
    step = max(batch_rows, _ROW_GROUP_ROWS)
    for start in range(0, rows, step):
        yield shaped.slice(start, step).collect()


def _csv_rows(schema: EventSchema, files: Iterable[bytes]) -> Iterator[pl.DataFrame]:
    # Columns that a file lacks may be named here.
    return (pl.read_csv(io.BytesIO(data), schema_overrides=text_columns(schema)) for data in files)
