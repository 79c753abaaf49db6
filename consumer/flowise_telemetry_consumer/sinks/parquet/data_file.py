"""Names of data files. A listing alone shows which files can hold an id, and how many rows there are."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from flowise_telemetry_transport.types import TopicPartition

__all__ = ["DataFile", "made_at", "origin_of"]

_PLACE = re.compile(r"event=(?P<event>[a-z0-9_]+)/date=(?P<date>\d{4}-\d\d-\d\d)/(?P<name>[^/._][^/]*)\.parquet")
_NAME = re.compile(r".+\.(?P<first>[0-9a-f]{12})-(?P<last>[0-9a-f]{12})\.(?P<rows>\d+)\.[0-9a-f]{16}")
_MAX_TOPIC_CHARACTERS = 80
_MAX_PARTITIONS = 4


@dataclass(frozen=True, slots=True)
class DataFile:
    """One file of the data set: ``event=<event>/date=<date>/<origin>.<first>-<last>.<rows>.<digest>.parquet``.

    ``first`` and ``last`` are the first twelve hexadecimal digits of the smallest and the largest id: the milliseconds
    at which the events got them. A file that is not ours has ``rows`` None and may hold any id.
    """

    path: str
    event: str
    date: str
    first: str
    last: str
    rows: int | None

    @classmethod
    def at(cls, path: str) -> DataFile | None:
        """Return the data file of this path; None where it is something else."""
        place = _PLACE.fullmatch(path)
        if place is None:
            return None
        name = _NAME.fullmatch(place["name"])
        if name is None:
            return cls(path, place["event"], place["date"], "0" * 12, "f" * 12, None)
        return cls(path, place["event"], place["date"], name["first"], name["last"], int(name["rows"]))

    @classmethod
    def of(cls, event: str, date: str, origin: str, event_ids: pl.Series) -> DataFile:
        """Return the file for rows with these ids. The same rows get the same name: a repeated write adds no file."""
        first, last = (made_at(str(end)) for end in (event_ids.min(), event_ids.max()))
        digest = hashlib.blake2b("".join(event_ids.to_list()).encode(), digest_size=8).hexdigest()
        rows = len(event_ids)
        path = f"event={event}/date={date}/{origin}.{first}-{last}.{rows}.{digest}.parquet"
        return cls(path, event, date, first, last, rows)


def origin_of(starts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]) -> str:
    """Return the rows' origin for a name: topic, partition, the first offset where known, and the next one."""
    parts = []
    for partition, end in sorted(ends.items())[:_MAX_PARTITIONS]:
        topic, number = partition
        start = starts.get(partition)
        parts.append(f"{topic[:_MAX_TOPIC_CHARACTERS]}-{number}-{'' if start is None else f'{start}-'}{end}")
    if len(ends) > _MAX_PARTITIONS:
        parts.append(f"{len(ends) - _MAX_PARTITIONS}-more")
    return "+".join(parts) or "events"


def made_at(event_id: str) -> str:
    """Return the milliseconds in an id, as twelve hexadecimal digits."""
    return event_id[:8] + event_id[9:13]
