"""Which events the tables hold already."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import polars as pl

from flowise_telemetry_consumer.sinks.delta.data_file import DataFile, made_at
from flowise_telemetry_consumer.sinks.delta.files import MINUTE_DIGITS, minutes_of
from flowise_telemetry_consumer.sinks.delta.log import Change, TableLog
from flowise_telemetry_consumer.sinks.delta.rows import ROW_GROUP_ROWS
from flowise_telemetry_consumer.sinks.delta.store import Store

__all__ = ["MAX_CACHED_IDS", "KnownIds"]

MAX_CACHED_IDS = 250_000
"""How many ids of a table are kept in memory, about 60 bytes each."""

_FILES_AT_ONCE = 16
_SMALL_FILES_AT_ONCE = 256
_ROWS_AT_ONCE = 100_000
"""Of small files that are read together."""

_WHOLE_BYTES = 65_536
"""Files up to this size are read whole."""

_SHARE = 0.01
"""Of a batch's ids: from here on a minute is worth remembering."""

_MAX_PARTS = 64
"""How many batches of one minute, and of files read together, are remembered apart."""

_MAX_NEW_MINUTES = 100
"""Of one batch: events of more minutes are late ones, that are soon followed by those of others."""

_MAX_MINUTES = 2_000
"""How many minutes are remembered: of a table with an event now and then these hold hardly any ids."""


@dataclass(frozen=True, slots=True)
class _Held:
    """Some ids, with the least and the greatest: a batch that is newer than all of them is not compared with them."""

    first: str
    last: str
    ids: pl.Series

    @classmethod
    def of(cls, ids: pl.Series) -> _Held:
        return cls(str(ids.min()), str(ids.max()), ids)


class _ReadFiles:
    """The ids of files that were read last. Late events come with others of the same days, batch after batch."""

    def __init__(self, max_ids: int) -> None:
        self._max_ids = max_ids
        self._parts: dict[frozenset[str], pl.Series] = {}

    def of(self, paths: Iterable[str]) -> tuple[list[pl.Series], set[str]]:
        """Return the ids that are remembered of these files, and the files of which none are."""
        rest = set(paths)
        found = []
        for part in [part for part in self._parts if not part.isdisjoint(rest)]:
            # Last in the order of use.
            ids = self._parts[part] = self._parts.pop(part)
            found.append(ids)
            rest -= part
        return found, rest

    def add(self, paths: Iterable[str], ids: pl.Series) -> None:
        """Remember what was read of some files, if it is not too much, in place of what was used least."""
        if len(ids) <= self._max_ids:
            self._parts[frozenset(paths)] = ids
        while sum(map(len, self._parts.values())) > self._max_ids or len(self._parts) > _MAX_PARTS:
            del self._parts[next(iter(self._parts))]

    def forget(self) -> None:
        """Forget all."""
        self._parts = {}


class KnownIds:
    """The ids of one table, for one writer, as of the version of its log.

    An id starts with the time at which it was made, so those of a batch are of few minutes, and only files whose
    statistics tell of these minutes can hold them. Minutes of which no file can hold any, as mostly those of new
    events, are remembered without a look. Of the others, those that have a share of the batch are read whole and
    remembered, the least used is forgotten; ids of what is left (late ones, those of a wrong clock) are looked up in
    the files, of which those that were read last are remembered. Whatever the ids are, the answer is exact.
    """

    def __init__(self, store: Store, log: TableLog, *, max_cached_ids: int = MAX_CACHED_IDS) -> None:
        self._store = store
        self._log = log
        self._max_cached_ids = max_cached_ids
        self._minutes: dict[str, list[_Held]] = {}
        self._read_files = _ReadFiles(max_cached_ids // 2)
        self._cached_ids = 0

    def forget(self) -> None:
        """Forget the ids in memory."""
        self._read_files.forget()
        self._minutes = {}
        self._cached_ids = 0

    def follow(self, change: Change) -> None:
        """Forget what a commit of others made wrong: minutes of which it wrote, all where it took rows away."""
        if not change.moves_rows:
            return
        if change.removed:
            self.forget()
        for minute in [minute for minute in self._minutes if any(minutes_of(it, [minute]) for it in change.added)]:
            self._forget_minute(minute)

    def among(self, event_ids: pl.Series) -> pl.Series:
        """Tell for each of these ids if the table holds it."""
        if event_ids.is_empty():
            return pl.Series([], dtype=pl.Boolean())
        least, greatest = str(event_ids.min()), str(event_ids.max())
        minutes = event_ids.str.head(MINUTE_DIGITS).alias("minute")
        counts = dict(minutes.value_counts().iter_rows())
        new = self._without_ids(sorted(counts))
        known = _none(len(event_ids))
        missing: list[str] = []
        odd: list[str] = []
        cached: list[pl.Series] = []
        for minute, count in counts.items():
            if minute in self._minutes:
                # Last in the order of use.
                held = self._minutes[minute] = self._minutes.pop(minute)
                cached += [its.ids for its in held if its.first <= greatest and its.last >= least]
            elif minute in new:
                if len(new) <= _MAX_NEW_MINUTES:
                    self._minutes[minute] = []
            elif count >= len(event_ids) * _SHARE:
                missing.append(minute)
            else:
                odd.append(minute)
        if cached:
            known |= _are_in(event_ids, cached)
        if missing:
            known |= self._look_up(missing, event_ids)
        if odd:
            wanted = event_ids.filter(minutes.is_in(odd))
            known |= _are_in(event_ids, [self._find(wanted.sort())])
        return known

    def added(self, event_ids: pl.Series) -> None:
        """Remember ids that were written, and are sorted."""
        for minute, ids in _by_minute(event_ids):
            before = self._minutes.get(minute)
            # A minute that was too much to remember is not remembered in part.
            if before is not None:
                before.append(_Held.of(ids))
                self._cached_ids += len(ids)
                if len(before) > _MAX_PARTS:
                    self._minutes[minute] = [_Held.of(pl.concat([its.ids for its in before], rechunk=True))]
        while self._cached_ids > self._max_cached_ids or len(self._minutes) > _MAX_MINUTES:
            self._forget_minute(next(iter(self._minutes)))

    def _without_ids(self, minutes: Sequence[str]) -> frozenset[str]:
        """Return those of these sorted minutes that are not remembered and of which no file can hold an id."""
        unknown = [minute for minute in minutes if minute not in self._minutes]
        begun = [0] * (len(unknown) + 1)  # how many more files than at the minute before
        for file in self._log.files.with_ids_of(unknown):
            places = minutes_of(file, unknown)
            begun[places.start] += 1
            begun[places.stop] -= 1
        return frozenset(minute for minute, files in zip(unknown, accumulate(begun), strict=False) if not files)

    def _forget_minute(self, minute: str) -> None:
        self._cached_ids -= sum(len(its.ids) for its in self._minutes.pop(minute))

    def _look_up(self, minutes: Sequence[str], event_ids: pl.Series) -> pl.Series:
        """Read minutes whole, and remember them where they are not too many."""
        known = _none(len(event_ids))
        held: list[pl.Series] = []
        total = 0
        for ids in self._held_in(minutes):
            known |= _are_in(event_ids, [ids])
            total += len(ids)
            if total <= self._max_cached_ids:
                held.append(ids)
            else:
                held = []
        if total <= self._max_cached_ids:
            self._minutes |= {minute: [] for minute in minutes}
            for minute, ids in _by_minute(pl.concat(held).sort()) if held else ():
                self._minutes[minute] = [_Held.of(ids)]
            self._cached_ids += total
        return known

    def _find(self, event_ids: pl.Series) -> pl.Series:
        """Return those of these sorted ids that the table holds."""
        column = pl.col("event_id")
        made = [made_at(event_id) for event_id in event_ids]
        found = [pl.Series("event_id", [], pl.String())]
        small: dict[str, DataFile] = {}
        for file in self._log.files.with_ids_of(sorted({its[:MINUTE_DIGITS] for its in made})):
            start, stop = bisect_left(made, file.first), bisect_right(made, file.last)
            if start < stop and file.rows is not None and file.rows <= ROW_GROUP_ROWS:
                small[self._path(file)] = file
            elif start < stop:
                # Narrow: only row groups between are read.
                wanted = event_ids[start:stop]
                near = column.is_between(pl.lit(wanted[0]), pl.lit(wanted[-1])) & column.is_in(wanted.implode())
                found.append(self._store.scan([self._path(file)]).select(column).filter(near).collect()["event_id"])
        held, rest = self._read_files.of(small)
        for part in _together([file for path, file in small.items() if path in rest]):
            # Compared in one go: polars makes a condition of a scan ready anew for each file.
            ids = self._scan(part).select(column).collect()["event_id"]
            self._read_files.add(map(self._path, part), ids)
            held.append(ids.filter(_are_in(ids, [event_ids])))
        return pl.concat([*found, *held])

    def _scan(self, files: Sequence[DataFile]) -> pl.LazyFrame:
        """Return files as one lazy frame. Those of a few rows are read whole: to find a column in them takes longer."""
        paths = [self._path(file) for file in files]
        if any(file.size_bytes > _WHOLE_BYTES for file in files):
            return self._store.scan(paths)
        return pl.scan_parquet(self._store.fetch(paths), glob=False, hive_partitioning=False, extra_columns="ignore")

    def _held_in(self, minutes: Iterable[str]) -> Iterator[pl.Series]:
        """Yield the ids of these minutes that the files hold, some files at a time."""
        wanted = sorted(minutes)
        files = [self._path(file) for file in self._log.files.with_ids_of(wanted)]
        minute = pl.col("event_id").str.head(MINUTE_DIGITS)
        for paths in _parts(files, _FILES_AT_ONCE):
            scanned = self._store.scan(paths).select("event_id")
            # The first condition passes over row groups, by their smallest and largest id.
            within = scanned.filter(pl.col("event_id").is_between(pl.lit(wanted[0]), pl.lit(f"{wanted[-1]}~")))
            yield within.filter(minute.is_in(wanted)).collect()["event_id"]

    def _path(self, file: DataFile) -> str:
        return f"{self._log.table}/{file.path}"


def _parts(paths: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (paths[start : start + size] for start in range(0, len(paths), size))


def _together(files: Iterable[DataFile]) -> Iterator[list[DataFile]]:
    """Yield small files that are read together, the smallest first."""
    part: list[DataFile] = []
    total = 0
    for file in sorted(files, key=lambda file: file.size_bytes):
        rows = file.rows or 0
        if part and (total + rows > _ROWS_AT_ONCE or len(part) == _SMALL_FILES_AT_ONCE):
            yield part
            part, total = [], 0
        part.append(file)
        total += rows
    if part:
        yield part


def _are_in(event_ids: pl.Series, known: Sequence[pl.Series]) -> pl.Series:
    known = [ids for ids in known if len(ids)]
    if not known:
        return _none(len(event_ids))
    return event_ids.is_in((pl.concat(known) if len(known) > 1 else known[0]).implode())


def _none(count: int) -> pl.Series:
    return pl.Series([False]).new_from_index(0, count)


def _by_minute(event_ids: pl.Series) -> Iterator[tuple[str, pl.Series]]:
    """Yield sorted ids by minute."""
    start = 0
    for count, minute in event_ids.str.head(MINUTE_DIGITS).rle().struct.unnest().iter_rows():
        yield minute, event_ids.slice(start, count)
        start += count
