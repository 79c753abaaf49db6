"""One sink of each kind that can be read back."""

from __future__ import annotations

import logging
import os
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from flowise_telemetry_consumer.sinks import Erasable, KeepsProgress, Readable, Stageable
from flowise_telemetry_consumer.sinks.registry import SINK_KINDS
from flowise_telemetry_schemas import catalog
from tests.consumer.sinks.clickhouse_engine import Engine
from tests.consumer.sinks.roles import ReadableSink, open_readable
from tests.services.clickhouse import ClickhouseService
from tests.services.object_store import ACCESS_KEY, SECRET_KEY, ObjectStoreService
from tests.services.postgres import with_parameters
from tests.thoroughness import IS_CI

UNTRIED = ("delta+az", "delta+gs")
"""Kinds for which there is no server: docs/sinks.md says so."""
KINDS = tuple(kind for kind in SINK_KINDS if kind.scheme not in UNTRIED)
# Minutes where object storage runs in the tests' process: `make test-objects` has a real one, test_delta_s3 a smoke.
ON_OBJECTS = () if os.environ.get("TEST_OBJECTS") == "1" else ("delta+s3",)
DATABASES = tuple(kind.scheme for kind in KINDS if Stageable in kind.roles and kind.scheme not in ON_OBJECTS)
# The engine in the tests' own process lets no second one in; a server does: that of `make test-clickhouse`.
ON_SERVER = bool(os.environ.get("CLICKHOUSE_URL")) or os.environ.get("TEST_CLICKHOUSE") == "1"
IN_PROCESS = () if ON_SERVER else ("clickhouse",)
SHARED = tuple(
    kind.scheme
    for kind in KINDS
    if Stageable in kind.roles and kind.writers == "many" and kind.scheme not in (*ON_OBJECTS, *IN_PROCESS)
)
# A lake has no views of its own; one in a folder is shown by DuckDB: `asked_url`.
ANALYST = tuple(scheme for scheme in DATABASES if not scheme.startswith("delta"))
ERASABLE = tuple(kind.scheme for kind in KINDS if Erasable in kind.roles and kind.scheme not in ON_OBJECTS)
# Outside CI the contract suite tries object storage, and the same claims are tried on folders.
CLAIMED = tuple(
    kind.scheme for kind in KINDS if KeepsProgress in kind.roles and (IS_CI or kind.scheme not in ON_OBJECTS)
)
# For whoever writes a sink of their own: a URL in which {folder} stands for an empty one.
UNDER_TEST = os.environ.get("SINK_UNDER_TEST")
READABLE = (UNDER_TEST,) if UNDER_TEST else tuple(kind.scheme for kind in KINDS if Readable in kind.roles)


def _kinds(*kinds: str) -> list[Any]:
    """Those that need a server carry its mark: the fixture is asked for by name only once the test runs.

    Of the others SQLite and JSON lines are quick; ``make test-fast`` has these two.
    """
    slow = ("delta", "delta+s3", "duckdb", "clickhouse")
    marks = {"postgresql": pytest.mark.services, **dict.fromkeys(slow, pytest.mark.slow)}
    return [pytest.param(kind, marks=marks.get(kind, ())) for kind in kinds]


def _clickhouse_url(request: pytest.FixtureRequest, folder: Path) -> str:
    if ON_SERVER:
        server: ClickhouseService = request.getfixturevalue("clickhouse_server")
        return server.new_database()
    engine: Engine = request.getfixturevalue("engine")
    if request.node.get_closest_marker("in_another_process") is None:
        return engine.database()
    engine.end()
    return f"clickhouse:///{folder}/events"


def _url(kind: str, request: pytest.FixtureRequest, folder: Path) -> str:
    if kind == "postgresql":
        # A schema of its own is made in no time, a database takes a second where every write goes to the disk.
        url: str = request.getfixturevalue("postgres_url")
        return with_parameters(url, f"schema=test_{uuid.uuid4().hex}")
    if kind == "clickhouse":
        return _clickhouse_url(request, folder)
    if kind == UNDER_TEST:
        return kind.format(folder=folder)
    if kind == "delta+s3":
        return str(request.getfixturevalue("s3_url"))
    return f"{kind}:///{folder}/events"


@pytest.fixture(scope="session")
def s3_endpoint(request: pytest.FixtureRequest) -> Iterator[str]:
    """Object storage with the bucket ``telemetry``: moto, which anyone with credentials may use, or a real one."""
    if not ON_OBJECTS:
        store: ObjectStoreService = request.getfixturevalue("object_store")
        yield store.endpoint
        return
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    with urllib.request.urlopen(urllib.request.Request(f"{endpoint}/telemetry", method="PUT")):
        pass
    yield endpoint
    server.stop()


@pytest.fixture
def s3_url(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty lake there."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    return f"delta+s3://telemetry/{uuid.uuid4().hex}/events?endpoint_url={s3_endpoint}"


@pytest.fixture(params=_kinds(*READABLE))
def sink_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty sink of each kind."""
    return _url(request.param, request, tmp_path)


@pytest.fixture(params=_kinds(*DATABASES))
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty sink of those kinds that have transactions."""
    return _url(request.param, request, tmp_path)


@pytest.fixture(params=_kinds(*ANALYST, "delta"))
def asked_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty sink of those kinds that an engine can ask."""
    return _url(request.param, request, tmp_path)


@pytest.fixture(params=_kinds(*ANALYST))
def analyst_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty sink of those kinds that have views for analysts."""
    return _url(request.param, request, tmp_path)


@pytest.fixture(params=_kinds("sqlite", "postgresql"))
def quick_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty sink of two kinds of these, for what is one code in all."""
    return _url(request.param, request, tmp_path)


@pytest.fixture(params=_kinds(*ERASABLE))
def erasable_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty sink of those kinds from which events can be erased."""
    return _url(request.param, request, tmp_path)


@pytest.fixture(params=_kinds(*CLAIMED))
def claimed_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty sink of those kinds that keep the progress of their sources."""
    return _url(request.param, request, tmp_path)


@pytest.fixture(params=_kinds(*SHARED))
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty sink of those kinds that take several writing processes."""
    return _url(request.param, request, tmp_path)


@pytest.fixture
def sink(sink_url: str) -> Iterator[ReadableSink]:
    """An empty sink that is prepared."""
    opened = open_readable(sink_url)
    opened.prepare(catalog())
    yield opened
    opened.close()
