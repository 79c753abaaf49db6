"""The two formats of files: Parquet with nested graphs, CSV with graphs as JSON and times as RFC 3339."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

import polars as pl

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


def decoded(schema: EventSchema, files: Iterable[Path]) -> Iterator[pl.DataFrame]:
    """Yield the rows of whole files in the shape of the schema, those of neighbours with the same columns together."""
    raw = ((file.suffix == ".csv", _read(schema, file)) for file in files)
    for (is_csv, _), alike in groupby(raw, key=lambda its: (its[0], its[1].schema)):
        rows = pl.concat(frame for _, frame in alike)
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


def _read(schema: EventSchema, file: Path) -> pl.DataFrame:
    data = io.BytesIO(file.read_bytes())
    if file.suffix == ".csv":
        # Columns that the file lacks may be named here.
        return pl.read_csv(data, schema_overrides=text_columns(schema))
    return pl.read_parquet(data, hive_partitioning=False)
