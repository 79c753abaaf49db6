"""How the ClickHouse sink declares its tables, and what an insert that is sent twice comes to."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import pytest

from flowise_telemetry_consumer.sinks.claims import PROGRESS_TABLE
from flowise_telemetry_consumer.sinks.clickhouse import ClickhouseSink, open_clickhouse
from flowise_telemetry_consumer.sinks.clickhouse.account import account_schemas
from flowise_telemetry_consumer.sinks.clickhouse.address import address_of
from flowise_telemetry_consumer.sinks.clickhouse.server import Server
from flowise_telemetry_consumer.sinks.clickhouse.tables import BATCH
from flowise_telemetry_schemas import catalog
from tests.consumer.sinks.batches import batch
from tests.consumer.sinks.clickhouse_engine import Engine

pytestmark = pytest.mark.slow  # each starts the engine

SAFE = {"fsync_after_insert = 1", "fsync_part_directory = 1", "non_replicated_deduplication_window = 1000"}


@pytest.fixture
def sink(engine: Engine) -> Iterator[ClickhouseSink]:
    opened = open_clickhouse(engine.database())
    opened.prepare(catalog())
    yield opened
    opened.close()


@pytest.fixture
def server(sink: ClickhouseSink) -> Iterator[Server]:
    opened = Server(address_of(sink.url))
    yield opened
    opened.close()


def declared(server: Server, table: str) -> tuple[list[str], set[str]]:
    """Return the lines about the storage of a table, and its settings."""
    ((statement,),) = server.rows(f"SHOW CREATE TABLE {table}")
    lines = statement[statement.index("ENGINE = ") :].splitlines()
    return lines[:-1], set(lines[-1].removeprefix("SETTINGS ").split(", "))


def test_tables_have_a_partition_for_each_month_and_are_ordered_by_time(server: Server) -> None:
    for table in (*catalog().events, *account_schemas()):
        storage, settings = declared(server, table)
        assert storage == [
            *("ENGINE = MergeTree", "PARTITION BY toYYYYMM(occurred_at)", "ORDER BY (occurred_at, event_id)")
        ]
        assert settings >= SAFE


def test_the_log_is_one_part_after_another_and_numbers_its_inserts(server: Server) -> None:
    storage, settings = declared(server, PROGRESS_TABLE)
    assert storage == ["ENGINE = MergeTree", "ORDER BY tuple()"]
    assert settings >= {*SAFE, "enable_block_number_column = 1"}


def test_an_insert_that_is_sent_twice_under_one_token_is_there_once(server: Server) -> None:
    month = pl.duration(days=31 * pl.int_range(pl.len()))
    frame = (
        batch(0, 3)
        .frames["tool_created"]
        .with_columns(pl.col("occurred_at") + month, pl.lit(1, pl.UInt64()).alias(BATCH))
    )

    def there(table: str) -> int:
        return int(server.rows(f"SELECT count() FROM {table}")[0][0])

    # Three months are three parts: each is recognised.
    for token, rows in (("batch:1", 3), ("batch:1", 3), ("batch:2", 6)):
        server.insert("tool_created", frame, token=token)
        assert there("tool_created") == rows
    for token, rows in (("begin:1", 1), ("begin:1", 1), ("begin:2", 2)):
        server.insert_rows(PROGRESS_TABLE, ["kind"], [["lock"]], token=token)
        assert there(PROGRESS_TABLE) == rows
