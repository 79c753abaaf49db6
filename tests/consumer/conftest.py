"""What the sinks of several folders share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.consumer.sinks.clickhouse_engine import Engine


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """ClickHouse in this process, which has one folder at a time."""
    running = Engine(tmp_path_factory.mktemp("clickhouse") / "engine")
    yield running
    running.end()
