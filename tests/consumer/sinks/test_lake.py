"""What DuckDB shows of a lake that lacks something: rows that were pruned, or tables."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

from flowise_telemetry_consumer.sinks import Batch, Prunable
from flowise_telemetry_schemas import catalog
from tests.consumer.sinks.analyst import rows
from tests.consumer.sinks.batches import batch, id_made_at, sizes
from tests.consumer.sinks.roles import open_readable

DAYS, REPEAT = 4, 5
FIRST_MS, DAY_MS = 1_700_000_000_123, 86_400_000
SHOWN = "SELECT received, numbered, missing, first_at, last_at FROM streams"


def of_day(day: int) -> Batch:
    """Events of one day, of the one stream of all."""
    frames = {}
    for place, (event, frame) in enumerate(batch(day, REPEAT).frames.items()):
        ms = FIRST_MS + day * DAY_MS
        numbers = range(place * 100, place * 100 + frame.height)
        ids = pl.Series([id_made_at(ms + number, day * 1_000 + number) for number in numbers])
        times = pl.Series([ms + number for number in numbers]).cast(pl.Datetime("ms", "UTC"))
        frames[event] = frame.with_columns(event_id=ids, occurred_at=times)
    return Batch(frames)


@pytest.mark.slow
def test_streams_are_the_same_whatever_is_pruned_and_comes_back(tmp_path: Path) -> None:
    url = f"delta:///{tmp_path}/lake"
    with closing(open_readable(url)) as sink:
        assert isinstance(sink, Prunable)
        sink.prepare(catalog())
        for day in range(DAYS):
            sink.write(of_day(day))
        shown = rows(url, SHOWN)
        events = sum(rows_ for event, rows_ in sizes(of_day(0)).items() if event != "stream_state")
        assert shown[0][0] == DAYS * events
        list(sink.prune(FIRST_MS + 2 * DAY_MS - DAY_MS // 2))
        assert rows(url, "SELECT count(*) FROM all_events") == [((DAYS - 2) * events,)]
        assert rows(url, SHOWN) == shown
        sink.write(of_day(1))  # a replay brings them back
        assert rows(url, "SELECT count(*) FROM all_events") == [((DAYS - 1) * events,)]
        assert rows(url, SHOWN) == shown


def test_ids_are_text_also_where_an_event_has_no_rows(tmp_path: Path) -> None:
    url = f"delta:///{tmp_path}/lake"
    with closing(open_readable(url)) as sink:
        sink.prepare(catalog())
        sink.write(Batch({"tool_created": batch().frames["tool_created"]}))
    ids = "event_id", "instance_id", "stream_id"
    for table in ("all_events", "assistant_created"):
        types: dict[str, str] = dict(rows(url, f"SELECT column_name, column_type FROM (DESCRIBE {table})"))
        assert [types[name] for name in ids] == ["VARCHAR"] * 3, table
