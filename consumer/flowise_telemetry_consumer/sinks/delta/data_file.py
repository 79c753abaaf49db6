"""Data files: their names, and what the log says of the ids in them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

import polars as pl

from flowise_telemetry_schemas.json_mapping import rfc3339
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["STATISTICS_TIME", "DataFile", "data_file_of", "made_at", "new_path", "origin_of", "parts_by_date"]

_MAX_TOPIC_CHARACTERS = 60
_MAX_PARTITIONS = 2
_SAFE = "/=+:,@"
_FIRST, _LAST = "0" * 12, "f" * 12
STATISTICS_TIME = "%Y-%m-%dT%H:%M:%S%.3fZ"
"""How the log spells a time."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file of a table. ``path`` is that from the table's folder, ``date`` the partition.

    ``ids`` are the least and the greatest, ``times`` the first and the last ``occurred_at``; None without statistics.
    ``first`` and ``last`` are the first twelve hexadecimal digits of ``ids``: the milliseconds at which the events got
    them. A file without statistics has ``rows`` None and may hold any id.
    """

    path: str
    date: str
    size_bytes: int
    rows: int | None
    ids: tuple[str, str] | None
    times: tuple[str, str] | None
    first: str
    last: str

    @classmethod
    def of(
        cls,
        path: str,
        *,
        date: object = "",
        size_bytes: int = 0,
        rows: int | None = None,
        ids: tuple[str | None, str | None] = (None, None),
        times: tuple[str | None, str | None] = (None, None),
    ) -> DataFile:
        """Return the file of an ``add`` action; its path is encoded as a part of a URI there."""
        least, greatest = ids
        earliest, latest = times
        is_known = rows is not None and least is not None and greatest is not None
        return cls(
            unquote(path) if "%" in path else path,
            str(date),
            size_bytes,
            rows,
            (least, greatest) if least and greatest else None,
            (earliest, latest) if earliest and latest else None,
            made_at(least) if is_known and least else _FIRST,
            made_at(greatest) if is_known and greatest else _LAST,
        )

    @classmethod
    def of_frame(cls, path: str, date: str, size_bytes: int, frame: pl.DataFrame) -> DataFile:
        """Return the file that holds these rows."""
        ids, times = frame["event_id"], frame["occurred_at"].cast(pl.Int64())
        least, greatest = str(ids.min()), str(ids.max())
        earliest, latest = (rfc3339(int(str(time_ms))) for time_ms in (times.min(), times.max()))
        return cls.of(
            path,
            date=date,
            size_bytes=size_bytes,
            rows=frame.height,
            ids=(least, greatest),
            times=(earliest, latest),
        )

    def add(self, now_ms: int, *, is_new: bool = True) -> Mapping[str, Any]:
        """Return the action that adds this file; ``is_new`` False where its rows were in others of the table before."""
        return {
            "add": {
                "path": quote(self.path, safe=_SAFE),
                "partitionValues": {"date": self.date},
                "size": self.size_bytes,
                "modificationTime": now_ms,
                "dataChange": is_new,
                "stats": json.dumps(self._statistics()),
            }
        }

    def remove(self, now_ms: int, *, is_new: bool = True) -> Mapping[str, Any]:
        """Return the action that removes this file; ``is_new`` False where its rows stay."""
        return {
            "remove": {
                "path": quote(self.path, safe=_SAFE),
                "deletionTimestamp": now_ms,
                "dataChange": is_new,
                "extendedFileMetadata": True,
                "partitionValues": {"date": self.date},
                "size": self.size_bytes,
            }
        }

    def _statistics(self) -> dict[str, Any]:
        ends = {"event_id": self.ids, "occurred_at": self.times}
        known = {name: its for name, its in ends.items() if its is not None}
        return {
            **({} if self.rows is None else {"numRecords": self.rows}),
            "minValues": {name: its[0] for name, its in known.items()},
            "maxValues": {name: its[1] for name, its in known.items()},
            "nullCount": dict.fromkeys(known, 0),
        }


def data_file_of(add: Mapping[str, Any]) -> DataFile:
    """Return the file that an ``add`` action of the log names."""
    statistics = json.loads(add.get("stats") or "{}")
    least, greatest = statistics.get("minValues", {}), statistics.get("maxValues", {})
    return DataFile.of(
        add["path"],
        date=add["partitionValues"].get("date"),
        size_bytes=add["size"],
        rows=statistics.get("numRecords"),
        ids=(least.get("event_id"), greatest.get("event_id")),
        times=(least.get("occurred_at"), greatest.get("occurred_at")),
    )


def new_path(date: str, origin: str) -> str:
    """Return the path of a new file; no other has it."""
    return f"date={date}/{origin}-{secrets.token_hex(6)}.zstd.parquet"


def origin_of(starts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]) -> str:
    """Return where rows came from, as a part of a name: topic, partition, the first offset if it is known, the next.

    A name has 255 bytes, and topics have up to 249: of a long one the end is left out.
    """
    parts = []
    for partition, end in sorted(ends.items())[:_MAX_PARTITIONS]:
        topic, number = partition
        start = starts.get(partition)
        parts.append(f"{topic[:_MAX_TOPIC_CHARACTERS]}-{number}-{'' if start is None else f'{start}-'}{end}")
    if len(ends) > _MAX_PARTITIONS:
        parts.append(f"{len(ends) - _MAX_PARTITIONS}-more")
    return "_".join(parts) or "events"


def made_at(event_id: str) -> str:
    """Return the milliseconds in an id, as twelve hexadecimal digits."""
    return event_id[:8] + event_id[9:13]


def parts_by_date(frame: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield the rows of each day of ``occurred_at``."""
    if frame.is_empty():
        return
    times = frame["occurred_at"].cast(pl.Int64())
    first, last = (rfc3339(int(str(time_ms)))[:10] for time_ms in (times.min(), times.max()))
    if first == last:
        yield first, frame
        return
    dates = frame["occurred_at"].dt.date()
    for date in dates.unique().sort():
        yield str(date), frame.filter(dates == date)
