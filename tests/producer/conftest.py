"""An app with telemetry: its environment, a broker in memory, and every ``Telemetry`` closed at the end.

And apps that are processes of their own, with a broker that is away, or the one of the tests.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from flowise_telemetry import Telemetry
from flowise_telemetry_transport import InMemoryBroker
from tests.producer.app_process import RunApp, Topic
from tests.services.kafka import KafkaService

MakeTelemetry = Callable[..., Telemetry]
Clock = Callable[[int], None]


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty one, so that no ``.env`` of this machine is read; and no choice of its user."""
    folder = tmp_path / "app"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("DISABLE_FLOWISE_TELEMETRY", "DO_NOT_TRACK", "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FLOWISE_TELEMETRY_CONFIG_DIR", str(tmp_path / "config"))
    return folder


@pytest.fixture
def config_dir(tmp_path: Path) -> Path:
    return tmp_path / "config"


@pytest.fixture
def environ(config_dir: Path) -> dict[str, str]:
    return {"FLOWISE_TELEMETRY_CONFIG_DIR": str(config_dir)}


@pytest.fixture
def broker() -> InMemoryBroker:
    return InMemoryBroker()


@pytest.fixture
def make_telemetry(broker: InMemoryBroker, environ: dict[str, str]) -> Iterator[MakeTelemetry]:
    with ExitStack() as stack:

        def make(**settings: Any) -> Telemetry:
            chosen = {"app_version": "3.0.1", "environ": environ, "writer_factory": broker.open_writer, **settings}
            telemetry = Telemetry(**chosen)
            stack.callback(telemetry.close, timeout_seconds=0.2)
            return telemetry

        yield make


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """Set the wall clock, which goes on from there; the monotonic one does not notice."""
    real_ns = time.time_ns
    offset_ns = 0

    def set_to(unix_ms: int) -> None:
        nonlocal offset_ns
        offset_ns = unix_ms * 1_000_000 - real_ns()

    monkeypatch.setattr(time, "time_ns", lambda: real_ns() + offset_ns)
    monkeypatch.setattr(time, "time", lambda: (real_ns() + offset_ns) / 1e9)
    yield set_to
    monkeypatch.undo()


@pytest.fixture
def run_app(tmp_path: Path) -> RunApp:
    """An app whose broker refuses at once: nothing listens on port 1."""
    kept = {name: value for name, value in os.environ.items() if name != "DO_NOT_TRACK"}
    own = {
        "FLOWISE_TELEMETRY_CONFIG_DIR": str(tmp_path / "config"),
        "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    }
    return RunApp(tmp_path, {**kept, **own})


@pytest.fixture
def topic(kafka: KafkaService) -> Topic:
    return Topic(kafka)
