"""An empty sink of each kind that has an engine."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.consumer.sinks.clickhouse_engine import Engine


def _kinds() -> list[Any]:
    marks = {
        "postgresql": pytest.mark.services,
        "duckdb": pytest.mark.slow,
        "clickhouse": pytest.mark.slow,
        "delta": pytest.mark.slow,
    }
    return [pytest.param(kind, marks=marks.get(kind, ())) for kind in ("sqlite", *marks)]


@pytest.fixture(params=_kinds())
def engine_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty sink of each kind that has an engine."""
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgres_url")
        return f"{url}{'&' if '?' in url else '?'}schema=test_{uuid.uuid4().hex}"
    if request.param == "clickhouse":
        engine: Engine = request.getfixturevalue("engine")
        return engine.database()
    return f"{request.param}:///{tmp_path}/events"


@pytest.fixture(params=["sqlite", pytest.param("duckdb", marks=pytest.mark.slow)])
def file_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty sink in one file, whose engine keeps what it is told to keep."""
    return f"{request.param}:///{tmp_path}/events"
