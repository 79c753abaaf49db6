"""Partitions as docs/operations.md makes them: each event once all the same, and a month dropped at once."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from flowise_telemetry_consumer.sinks.port import Batch
from flowise_telemetry_schemas import ToolCreated, catalog
from tests.consumer.sinks.batches import batch_of, envelope, id_made_at
from tests.consumer.sinks.roles import ReadableSink, open_readable

GUIDE = (Path(__file__).parents[3] / "docs" / "operations.md").read_text(encoding="utf-8")
MAKE, REMOVE = (block for block in re.findall(r"```sql\n(.*?)```", GUIDE, re.DOTALL) if "tool_created" in block)
TOOL = ToolCreated(version="3.0.1", tool_id="0e0f0a0b-1c2d-4e3f-8a9b-0123456789ab", tool_name="get_weather")


def batch_at(*moments: datetime) -> Batch:
    """An event of each moment, whose id begins with it."""
    made = []
    for number, moment in enumerate(moments):
        milliseconds = round(moment.timestamp() * 1_000)
        event_id = id_made_at(milliseconds, number)
        made.append((TOOL, replace(envelope(number), event_id=event_id, occurred_at_ms=milliseconds)))
    return batch_of(*made)


IN_MONTH = batch_at(*(datetime(2026, 12, day, tzinfo=UTC) for day in (1, 15, 31)))
BESIDE = batch_at(datetime(2026, 11, 30, 23, 59, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))


def run(url: str, statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statements.encode())


def prepared(url: str) -> ReadableSink:
    sink = open_readable(url)
    sink.prepare(catalog())
    return sink


def count(url: str, table: LiteralString) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    return row[0] if row else -1


def test_events_are_written_once_into_partitions_of_their_month(new_postgres_url: str) -> None:
    with closing(prepared(new_postgres_url)) as sink:
        sink.write(BESIDE)
    run(new_postgres_url, MAKE)
    with closing(prepared(new_postgres_url)) as sink:
        assert sink.write(IN_MONTH).written == {"tool_created": 3}
        assert sink.write(IN_MONTH).duplicates == {"tool_created": 3}
        assert sink.write(BESIDE).duplicates == {"tool_created": 2}
        assert count(new_postgres_url, "tool_created_2026_12") == 3
        assert count(new_postgres_url, "tool_created_default") == 2
        assert sum(frame.height for frame in sink.read("tool_created")) == 5
        run(new_postgres_url, REMOVE)
        assert sink.counts()["tool_created"] == 2
        assert sink.write(IN_MONTH).written == {"tool_created": 3}, "into the default partition from then on"


def test_tables_cannot_be_partitioned_by_the_time_of_their_events(new_postgres_url: str) -> None:
    prepared(new_postgres_url).close()
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="must include all partitioning columns"):
        run(new_postgres_url, MAKE.replace("RANGE (event_id)", "RANGE (occurred_at)"))
