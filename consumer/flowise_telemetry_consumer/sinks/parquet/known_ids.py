"""Look-up of the events that the data set holds already."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence

import polars as pl

from flowise_telemetry_consumer.sinks.parquet.data_file import DataFile, made_at
from flowise_telemetry_consumer.sinks.parquet.listing import list_data
from flowise_telemetry_consumer.sinks.parquet.rows import ROW_GROUP_ROWS
from flowise_telemetry_consumer.sinks.parquet.storage import Storage

__all__ = ["MAX_CACHED_IDS", "KnownIds"]

MAX_CACHED_IDS = 1_000_000
"""Bound on ids in memory, about 60 bytes each."""

_FILES_AT_ONCE = 16
_SMALL_FILES_AT_ONCE = 256
_SHARE = 0.01
"""Share of a batch's ids from which on a minute is worth caching."""

_MINUTE_DIGITS = 8
"""Digits of an id that change every 65 seconds; ids that share them are looked up and cached together."""


class KnownIds:
    """The ids of the data set, for one writer.

    An id starts with its time, so those of a batch fall into few minutes, and only files whose names cover these
    minutes can hold them. Minutes with a share of the batch are read whole and cached, the least recently used is
    evicted; ids of other minutes (late ones, or of a wrong clock) are looked up file by file. The answer is always
    exact.
    """

    def __init__(self, storage: Storage, *, max_cached_ids: int = MAX_CACHED_IDS) -> None:
        self._storage = storage
        self._max_cached_ids = max_cached_ids
        self._files: dict[str, dict[str, DataFile]] = {}
        self._minutes: dict[tuple[str, str], pl.Series] = {}
        self._cached_ids = 0

    def refresh(self) -> None:
        """List the data set, and drop the cached minutes of which others have written since."""
        before = {path for files in self._files.values() for path in files}
        self._files = {}
        for file in list_data(self._storage):
            self._files.setdefault(file.event, {})[file.path] = file
        for event, files in self._files.items():
            new = [file for path, file in files.items() if path not in before]
            stale = [key for key in self._minutes if key[0] == event and any(_may_hold(file, key[1:]) for file in new)]
            for key in stale:
                self._cached_ids -= len(self._minutes.pop(key))

    def forget(self) -> None:
        """Drop the cached ids; the list of files stays."""
        self._minutes = {}
        self._cached_ids = 0

    def among(self, event: str, event_ids: pl.Series) -> pl.Series:
        """Return for each of these ids True where the data set holds it."""
        minutes = event_ids.str.head(_MINUTE_DIGITS).alias("minute")
        known = pl.repeat(False, len(event_ids), eager=True)
        missing, odd, cached = [], [], []
        for minute, count in minutes.value_counts().iter_rows():
            ids = self._minutes.pop((event, minute), None)
            if ids is not None:
                # Most recently used: moves to the end.
                self._minutes[event, minute] = ids
                cached.append(ids)
            elif count >= len(event_ids) * _SHARE:
                missing.append(minute)
            else:
                odd.append(minute)
        if cached:
            known |= _are_in(event_ids, pl.concat(cached))
        if missing:
            known |= self._look_up(event, missing, event_ids)
        if odd:
            wanted = event_ids.filter(minutes.is_in(odd))
            known |= _are_in(event_ids, self._find(event, wanted.sort().to_list()))
        return known

    def added(self, file: DataFile, event_ids: pl.Series) -> None:
        """Note ids that were written into this file."""
        self._files.setdefault(file.event, {})[file.path] = file
        for minute, ids in _by_minute(event_ids):
            before = self._minutes.get((file.event, minute))
            # A minute that was too large to cache is not cached in part.
            if before is not None:
                self._minutes[file.event, minute] = pl.concat([before, ids], rechunk=before.n_chunks() > 16)
                self._cached_ids += len(ids)
        while self._cached_ids > self._max_cached_ids:
            self._cached_ids -= len(self._minutes.pop(next(iter(self._minutes))))

    def _look_up(self, event: str, minutes: Sequence[str], event_ids: pl.Series) -> pl.Series:
        """Read whole minutes, and cache them where they are not too many."""
        known = pl.repeat(False, len(event_ids), eager=True)
        held = [pl.Series("event_id", [], pl.String())]
        total = 0
        for ids in self._held_in(event, minutes):
            known |= _are_in(event_ids, ids)
            total += len(ids)
            if total <= self._max_cached_ids:
                held.append(ids)
            else:
                held = []
        if total <= self._max_cached_ids:
            self._minutes |= {(event, minute): held[0] for minute in minutes}
            for minute, ids in _by_minute(pl.concat(held)):
                self._minutes[event, minute] = ids
            self._cached_ids += total
        return known

    def _find(self, event: str, event_ids: Sequence[str]) -> pl.Series:
        """Return those of these sorted ids that the data set holds."""
        column = pl.col("event_id")
        made = [made_at(event_id) for event_id in event_ids]
        found = [pl.Series("event_id", [], pl.String())]
        small: list[str] = []
        for file in self._files.get(event, {}).values():
            wanted = event_ids[bisect_left(made, file.first) : bisect_right(made, file.last)]
            if wanted and file.rows is not None and file.rows <= ROW_GROUP_ROWS:
                small.append(file.path)
            elif wanted:
                # A narrow range: only row groups within it are read.
                near = column.is_between(pl.lit(wanted[0]), pl.lit(wanted[-1])) & column.is_in(wanted)
                found.append(self._storage.scan([file.path]).select(column).filter(near).collect()["event_id"])
        for paths in _parts(small, _SMALL_FILES_AT_ONCE):
            scanned = self._storage.scan(paths).select(column).filter(column.is_in(event_ids))
            found.append(scanned.collect()["event_id"])
        return pl.concat(found)

    def _held_in(self, event: str, minutes: Iterable[str]) -> Iterator[pl.Series]:
        """Yield the ids of these minutes, some files at a time."""
        wanted = sorted(minutes)
        files = [file.path for file in self._files.get(event, {}).values() if _may_hold(file, wanted)]
        minute = pl.col("event_id").str.head(_MINUTE_DIGITS)
        for paths in _parts(files, _FILES_AT_ONCE):
            scanned = self._storage.scan(paths).select("event_id")
            # The first condition skips row groups by their smallest and largest id.
            within = scanned.filter(pl.col("event_id").is_between(pl.lit(wanted[0]), pl.lit(f"{wanted[-1]}~")))
            yield within.filter(minute.is_in(wanted)).collect()["event_id"]


def _parts(paths: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (paths[start : start + size] for start in range(0, len(paths), size))


def _may_hold(file: DataFile, minutes: Sequence[str]) -> bool:
    first, last = file.first[:_MINUTE_DIGITS], file.last[:_MINUTE_DIGITS]
    return any(first <= minute <= last for minute in minutes)


def _are_in(event_ids: pl.Series, known: pl.Series) -> pl.Series:
    return event_ids.is_in(known.implode())


def _by_minute(event_ids: pl.Series) -> Iterator[tuple[str, pl.Series]]:
    minute = event_ids.str.head(_MINUTE_DIGITS).alias("minute")
    minutes = pl.DataFrame([event_ids.alias("event_id"), minute]).group_by("minute").agg("event_id")
    yield from zip(minutes["minute"], minutes["event_id"], strict=True)
