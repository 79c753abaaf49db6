"""The programs are in environments of their own, which ``make test-apps`` makes: ``make test`` leaves them out.

At the end of the run stands a table of what arrived.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.apps.interpreters import INTERPRETERS, IS_SMOKE, require
from tests.apps.programs import App, open_app
from tests.services.kafka import KafkaService

collect_ignore_glob = [] if os.environ.get("APP_PYTHONS") else ["test_*.py"]

_COLUMNS = ("program", "python", "client", "sent", "arrived", "of posthog-python")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if IS_SMOKE and item.get_closest_marker("beyond_smoke")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(params=INTERPRETERS, ids=lambda path: Path(path).parents[1].name)
def python(request: pytest.FixtureRequest) -> str:
    """An interpreter that has the project and the programs."""
    path: str = request.param
    require(path, "confluent_kafka", "flowise_telemetry")
    return path


@pytest.fixture(params=["kafka-python", "librdkafka"])
def client(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def app(kafka: KafkaService, tmp_path: Path, python: str, client: str, request: pytest.FixtureRequest) -> Iterator[App]:
    """What programs run in, with a topic of its own; posthog-python sends beside it."""
    with open_app(kafka, tmp_path, python, client) as opened:
        yield opened
    request.node.user_properties += [("arrived", row) for row in opened.rows]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows = [
        row
        for report in terminalreporter.getreports("") + terminalreporter.getreports("error")
        for name, row in report.user_properties
        if name == "arrived" and report.when == "teardown"
    ]
    if not rows:
        return
    terminalreporter.section("events that arrived")
    table = [_COLUMNS, *sorted(tuple(str(cell) for cell in row) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(_COLUMNS))]
    for row in table:
        terminalreporter.line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
