"""One sink of each kind that can be read back."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowise_telemetry_consumer.sinks import Sink, open_sink
from flowise_telemetry_schemas import catalog

SHARED = ("sqlite", "postgresql")
DATABASES = (*SHARED, "duckdb")
CLAIMED = (*DATABASES, "parquet")


def _url(kind: str, request: pytest.FixtureRequest, folder: Path) -> str:
    if kind == "postgresql":
        # A schema of its own is made in no time, a database takes a second where every write goes to the disk.
        url: str = request.getfixturevalue("postgres_url")
        return f"{url}{'&' if '?' in url else '?'}schema=test_{uuid.uuid4().hex}"
    return f"{kind}:///{folder}/events"


@pytest.fixture(params=[*CLAIMED, "jsonl"])
def sink_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty sink of each kind."""
    return _url(request.param, request, tmp_path)


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty sink of those kinds that have transactions."""
    return _url(request.param, request, tmp_path)


@pytest.fixture(params=CLAIMED)
def claimed_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty sink of those kinds that keep the progress of their sources."""
    return _url(request.param, request, tmp_path)


@pytest.fixture(params=SHARED)
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty sink of those kinds that take several writing processes."""
    return _url(request.param, request, tmp_path)


@pytest.fixture
def sink(sink_url: str) -> Iterator[Sink]:
    """An empty sink that is prepared."""
    opened = open_sink(sink_url)
    opened.prepare(catalog())
    yield opened
    opened.close()
