"""Ranges of event ids. Ids of one batch lie close together: a UUIDv7 starts with its time (RFC 9562 section 5.7)."""

from __future__ import annotations

import polars as pl

__all__ = ["first_of_each", "id_ranges"]

_NEAR_MS = 3_600_000
_MAX_RANGES = 16


def id_ranges(event_ids: pl.Series) -> list[tuple[str, str]]:
    """Return a few ranges (first and last id) that cover all of these ids; an empty list for no ids.

    A sink looks for known ids only within them. One installation with a wrong clock must not extend that to the whole
    table: a gap of more than an hour begins a new range, up to sixteen ranges.
    """
    if event_ids.is_empty():
        return []
    first, last = str(event_ids.min()), str(event_ids.max())
    if _made_ms(last) - _made_ms(first) <= _NEAR_MS:
        return [(first, last)]
    ids = event_ids.sort()
    made_ms = (ids.str.head(8) + ids.str.slice(9, 4)).str.to_integer(base=16)
    gaps = made_ms.diff()
    cuts = gaps.arg_sort(descending=True, nulls_last=True).head(_MAX_RANGES - 1)
    starts = sorted([0, *cuts.filter(gaps.gather(cuts) > _NEAR_MS)])
    ends = [*(start - 1 for start in starts[1:]), len(ids) - 1]
    return list(zip(ids.gather(starts), ids.gather(ends), strict=True))


def _made_ms(event_id: str) -> int:
    return int(event_id[:8] + event_id[9:13], 16)


def first_of_each(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame without the rows whose event id occurs further up."""
    if frame["event_id"].n_unique() == frame.height:
        return frame
    return frame.unique("event_id", keep="first", maintain_order=True)
