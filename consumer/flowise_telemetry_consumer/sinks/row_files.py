"""Rows of many files, a batch at a time: small files are fetched together, so that many cost no more than few."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import polars as pl

__all__ = ["RowFile", "in_batches", "parquet_rows", "rows_of_files"]

_TOGETHER_FILES = 64
_TOGETHER_BYTES = 8 * 1_048_576


@dataclass(frozen=True, slots=True)
class RowFile:
    """A file with rows of one event: its path, as its reader takes it, its size and the number of its rows."""

    path: str
    size_bytes: int
    rows: int


def rows_of_files(
    files: Iterable[RowFile],
    *,
    small: Callable[[Sequence[str]], Iterator[pl.DataFrame]],
    large: Callable[[str], Iterator[pl.DataFrame]],
    start_row: int,
    batch_rows: int,
) -> Iterator[pl.DataFrame]:
    """Yield the rows of files in their order, from ``start_row`` on, ``batch_rows`` a frame; the last one has the rest.

    ``small`` reads files of at most ``batch_rows`` together, whole; ``large`` reads one file in pieces.
    """
    rest = list(files)
    skipped = 0
    while rest and skipped + rest[0].rows <= start_row:
        skipped += rest.pop(0).rows
    frames = (frame for group in _groups(rest, batch_rows) for frame in _read(group, small, large, batch_rows))
    yield from in_batches(_without_head(frames, start_row - skipped), batch_rows)


def parquet_rows(files: Iterable[bytes]) -> Iterator[pl.DataFrame]:
    """Yield the rows of whole Parquet files, those of neighbours with the same columns together."""
    together = list(files)
    try:
        # Nearly always all are alike. polars says where they are not, which is cheaper than to compare them.
        # In one piece: everything that is done with a frame is done with each of its chunks.
        yield pl.read_parquet(together, hive_partitioning=False).rechunk()
    except (pl.exceptions.SchemaError, pl.exceptions.ColumnNotFoundError):
        for _, alike in groupby(together, key=lambda data: pl.read_parquet_schema(io.BytesIO(data))):
            yield pl.read_parquet(list(alike), hive_partitioning=False).rechunk()


def in_batches(frames: Iterable[pl.DataFrame], batch_rows: int) -> Iterator[pl.DataFrame]:
    """Yield the same rows in frames of ``batch_rows``; the last one has the rest."""
    held: list[pl.DataFrame] = []
    rows = 0
    for frame in frames:
        if frame.height:
            held.append(frame)
            rows += frame.height
        if rows >= batch_rows:
            whole = rows - rows % batch_rows
            joined = pl.concat(held)
            yield from joined.head(whole).iter_slices(batch_rows)
            held, rows = [joined.tail(rows - whole)] if rows > whole else [], rows - whole
    if held:
        yield pl.concat(held)


def _groups(files: Iterable[RowFile], batch_rows: int) -> Iterator[list[RowFile]]:
    """Yield neighbours that are read together. Rows bound them as well: compressed, a file's size says little."""
    group: list[RowFile] = []
    size_bytes = rows = 0
    for file in files:
        fits = (
            len(group) < _TOGETHER_FILES
            and size_bytes + file.size_bytes <= _TOGETHER_BYTES
            and rows + file.rows <= batch_rows
        )
        if group and not fits:
            yield group
            group, size_bytes, rows = [], 0, 0
        group.append(file)
        size_bytes += file.size_bytes
        rows += file.rows
    if group:
        yield group


def _read(
    group: Sequence[RowFile],
    small: Callable[[Sequence[str]], Iterator[pl.DataFrame]],
    large: Callable[[str], Iterator[pl.DataFrame]],
    batch_rows: int,
) -> Iterator[pl.DataFrame]:
    first = group[0]
    if first.size_bytes > _TOGETHER_BYTES or first.rows > batch_rows:
        return large(first.path)
    return small([file.path for file in group])


def _without_head(frames: Iterable[pl.DataFrame], rows: int) -> Iterator[pl.DataFrame]:
    for frame in frames:
        yield frame.slice(rows) if rows else frame
        rows = max(0, rows - frame.height)
