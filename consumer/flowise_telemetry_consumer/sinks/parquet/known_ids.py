"""Which events the data set holds already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import polars as pl

from flowise_telemetry_consumer.sinks.parquet.data_file import DataFile
from flowise_telemetry_consumer.sinks.parquet.listing import list_data
from flowise_telemetry_consumer.sinks.parquet.storage import Storage

__all__ = ["MAX_CACHED_IDS", "KnownIds"]

MAX_CACHED_IDS = 1_000_000
"""How many ids are kept in memory, about 60 bytes each."""

_FILES_AT_ONCE = 64
_MINUTE_DIGITS = 8
"""The digits of an id that change every 65 seconds: the ids that share them are looked up and remembered together."""


class KnownIds:
    """The ids of the data set, for one writer.

    An id starts with the time at which it was made, so those of a batch are of few minutes, and only files whose names
    tell of these minutes can hold them. What was looked up or written is remembered by minute, the least used is
    forgotten. Whatever the ids are, the answer is exact; ids of many minutes take more looking.
    """

    def __init__(self, storage: Storage, *, max_cached_ids: int = MAX_CACHED_IDS) -> None:
        self._storage = storage
        self._max_cached_ids = max_cached_ids
        self._files: dict[str, dict[str, DataFile]] = {}
        self._minutes: dict[tuple[str, str], pl.Series] = {}
        self._cached_ids = 0

    def refresh(self) -> None:
        """Lists the data set. When others have written since, everything is looked up anew."""
        before = {path for files in self._files.values() for path in files}
        self._files = {}
        for file in list_data(self._storage):
            self._files.setdefault(file.event, {})[file.path] = file
        if any(path not in before for files in self._files.values() for path in files):
            self.forget()

    def forget(self) -> None:
        """Forgets the ids in memory; the files are still known."""
        self._minutes = {}
        self._cached_ids = 0

    def among(self, event: str, event_ids: pl.Series) -> pl.Series:
        """For each of these ids whether the data set holds it."""
        minutes: list[str] = event_ids.str.head(_MINUTE_DIGITS).unique().to_list()
        missing = []
        cached = []
        for minute in minutes:
            ids = self._minutes.pop((event, minute), None)
            if ids is None:
                missing.append(minute)
            else:
                # Last in the order of use.
                self._minutes[event, minute] = ids
                cached.append(ids)
        known = _are_in(event_ids, pl.concat(cached)) if cached else pl.repeat(False, len(event_ids), eager=True)
        return known | self._look_up(event, missing, event_ids) if missing else known

    def added(self, file: DataFile, event_ids: pl.Series) -> None:
        """These were written, into this file."""
        self._files.setdefault(file.event, {})[file.path] = file
        for (minute,), ids in _by_minute(event_ids):
            before = self._minutes.get((file.event, minute))
            # A minute that was too much to remember is not remembered in part.
            if before is not None:
                self._minutes[file.event, minute] = pl.concat([before, ids], rechunk=before.n_chunks() > 16)
                self._cached_ids += len(ids)
        while self._cached_ids > self._max_cached_ids:
            self._cached_ids -= len(self._minutes.pop(next(iter(self._minutes))))

    def _look_up(self, event: str, minutes: Sequence[str], event_ids: pl.Series) -> pl.Series:
        known = pl.repeat(False, len(event_ids), eager=True)
        held: list[pl.Series] = []
        total = 0
        for ids in self._held_in(event, minutes):
            known |= _are_in(event_ids, ids)
            total += len(ids)
            if total <= self._max_cached_ids:
                held.append(ids)
            else:
                held = []
        if total <= self._max_cached_ids:
            empty = pl.Series("event_id", [], pl.String())
            self._minutes |= {(event, minute): empty for minute in minutes}
            if held:
                for (minute,), ids in _by_minute(pl.concat(held)):
                    self._minutes[event, minute] = ids
            self._cached_ids += total
        return known

    def _held_in(self, event: str, minutes: Iterable[str]) -> Iterator[pl.Series]:
        """The ids of these minutes that the files hold, some files at a time."""
        wanted = sorted(minutes)
        files = [file.path for file in self._files.get(event, {}).values() if _may_hold(file, wanted)]
        minute = pl.col("event_id").str.head(_MINUTE_DIGITS)
        for start in range(0, len(files), _FILES_AT_ONCE):
            scanned = self._storage.scan(files[start : start + _FILES_AT_ONCE]).select("event_id")
            # The first condition passes over row groups, by their smallest and largest id.
            within = scanned.filter(pl.col("event_id").is_between(pl.lit(wanted[0]), pl.lit(f"{wanted[-1]}~")))
            yield within.filter(minute.is_in(wanted)).collect()["event_id"]


def _may_hold(file: DataFile, minutes: Sequence[str]) -> bool:
    first, last = file.first[:_MINUTE_DIGITS], file.last[:_MINUTE_DIGITS]
    return any(first <= minute <= last for minute in minutes)


def _are_in(event_ids: pl.Series, known: pl.Series) -> pl.Series:
    return event_ids.is_in(known.implode())


def _by_minute(event_ids: pl.Series) -> Iterator[tuple[tuple[str], pl.Series]]:
    frame = event_ids.alias("event_id").to_frame()
    minute = frame["event_id"].str.head(_MINUTE_DIGITS).alias("minute")
    for key, rows in frame.with_columns(minute).partition_by("minute", as_dict=True).items():
        yield (str(key[0]),), rows["event_id"]
