"""What the tables say of themselves: comments from the schemas, and days that are the same for every reader."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from deltalake import DeltaTable

from flowise_telemetry_consumer.sinks.clickhouse.address import address_of
from flowise_telemetry_consumer.sinks.clickhouse.server import Server
from flowise_telemetry_consumer.sinks.clickhouse.tables import BATCH
from flowise_telemetry_schemas import EventSchema, catalog
from tests.consumer.sinks.batches import batch, with_second_version
from tests.consumer.sinks.roles import open_database

GUIDE = Path(__file__).parents[3] / "docs" / "sinks.md"
ZONES = ("UTC", "Asia/Tokyo", "America/Los_Angeles")
DAY = date(2023, 11, 14)  # of the events, at 22:13 in UTC


def documented(heading: str) -> str:
    """The first query of a section of the guide."""
    section = GUIDE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    query = re.search(r"^SELECT .*;$", section, re.MULTILINE)
    assert query is not None
    return query[0]


def in_postgres(url: str) -> dict[str, str | None]:
    with psycopg.connect(url) as db:
        return dict(
            db.execute(
                "SELECT attname, col_description(attrelid, attnum) FROM pg_attribute "
                "WHERE attrelid = 'tool_created'::regclass AND attnum > 0"
            ).fetchall()
        )


def in_duckdb(url: str) -> dict[str, str | None]:
    with contextlib.closing(duckdb.connect(url.removeprefix("duckdb:///"), read_only=True)) as db:
        return dict(
            db.execute("SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'tool_created'").fetchall()
        )


def in_delta(url: str) -> dict[str, str | None]:
    fields = DeltaTable(f"{url.removeprefix('delta:///')}/tool_created").schema().fields
    return {field.name: field.metadata.get("comment") for field in fields if field.name != "date"}


def in_clickhouse(url: str) -> dict[str, str | None]:
    server = Server(address_of(url))
    its = "database = currentDatabase() AND table = 'tool_created'"
    rows = server.rows(f"SELECT name, comment FROM system.columns WHERE {its}")
    server.close()
    return {column: comment or None for column, comment in rows if column != BATCH}


@pytest.mark.parametrize(
    ("kind", "comments_of"),
    [
        pytest.param("postgresql", in_postgres, marks=pytest.mark.services),
        ("duckdb", in_duckdb),
        ("clickhouse", in_clickhouse),
        ("delta", in_delta),
    ],
)
def test_columns_have_the_docs_of_their_fields_as_comments(
    kind: str, comments_of: Callable[[str], dict[str, str | None]], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if kind == "postgresql":
        url = request.getfixturevalue("new_postgres_url")
    elif kind == "clickhouse":
        url = request.getfixturevalue("engine").database()
    else:
        url = f"{kind}:///{tmp_path}/events"

    def prepared(schemas: list[EventSchema]) -> dict[str, str | None]:
        with closing(open_database(url)) as sink:
            sink.prepare(schemas)
        return comments_of(url)

    first = catalog().latest("tool_created")
    assert prepared(list(catalog())) == {field.column: field.doc for field in first.fields}
    newer = with_second_version(tmp_path / "avro", "tool_created")
    assert prepared([newer]) == {field.column: field.doc or None for field in newer.fields}


@pytest.mark.services
def test_days_in_postgresql_are_those_of_utc_in_every_zone(new_postgres_url: str) -> None:
    with closing(open_database(new_postgres_url)) as sink:
        sink.prepare(catalog())
        sink.write(batch())
    for zone in ZONES:
        with psycopg.connect(new_postgres_url, options=f"-c TimeZone={zone}") as db:
            rows: list[tuple[Any, ...]] = db.execute(documented("PostgreSQL").encode()).fetchall()
        assert {row[0] for row in rows} == {DAY}


def test_days_in_duckdb_are_those_of_utc_in_every_zone(tmp_path: Path) -> None:
    with closing(open_database(f"duckdb:///{tmp_path}/events")) as sink:
        sink.prepare(catalog())
        sink.write(batch())
    with contextlib.closing(duckdb.connect(f"{tmp_path}/events", read_only=True)) as db:
        for zone in ZONES:
            with contextlib.suppress(duckdb.Error):  # without ICU there are no zones
                db.execute(f"SET TimeZone = '{zone}'")
            rows = db.execute(documented("DuckDB")).fetchall()
            assert {str(row[0])[:10] for row in rows} == {str(DAY)}
