"""What systemd is told, at a socket of the test's own."""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowise_telemetry_cli.systemd import Systemd, watched_by
from tests.cli.service_manager import ServiceManager


class Process:
    """One whose state the test sets."""

    def __init__(self, environ: dict[str, str]) -> None:
        self.dead: str | None = None
        self.waits: str | None = "waiting: no sink"
        self.stop = threading.Event()
        self.now = 0.0
        self.systemd = Systemd(
            environ,
            why_not_alive=lambda: self.dead,
            why_not_ready=lambda: self.dead or self.waits,
            stop=self.stop,
            monotonic=lambda: self.now,
        )

    def look(self, *, after_seconds: float = 1.0) -> None:
        self.now += after_seconds
        self.systemd.look()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short one: the name of a socket has some hundred bytes at most."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture
def manager(folder: Path) -> Iterator[ServiceManager]:
    manager = ServiceManager(str(folder / "notify"))
    yield manager
    manager.close()


@pytest.fixture
def process(folder: Path, manager: ServiceManager) -> Process:
    return Process({"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "60000000"})


def test_ready_is_told_once_and_more_time_is_asked_for_until_then(process: Process, manager: ServiceManager) -> None:
    process.look()
    waiting = {"STATUS": "waiting: no sink", "WATCHDOG": "1", "EXTEND_TIMEOUT_USEC": "30000000"}
    assert manager.message() == waiting
    process.waits = None
    process.look()
    assert manager.message() == {"STATUS": "ready", "WATCHDOG": "1", "READY": "1"}
    process.waits = "waiting: the sink has gone"
    process.look()
    assert manager.message() == {"STATUS": "waiting: the sink has gone", "WATCHDOG": "1"}


def test_a_loop_that_hangs_holds_no_watchdog_off(process: Process, manager: ServiceManager) -> None:
    process.dead = "the last poll was 61 s ago"
    process.look()
    assert manager.message() == {"STATUS": "the last poll was 61 s ago"}


def test_stopping_is_told_at_once(process: Process, manager: ServiceManager) -> None:
    process.waits = None
    process.look()
    assert manager.message()["READY"] == "1"
    process.look(after_seconds=0.1)
    assert manager.messages() == []
    process.stop.set()
    process.look(after_seconds=0.1)
    assert manager.message() == {"STATUS": "ready", "WATCHDOG": "1", "STOPPING": "1"}
    process.look(after_seconds=0.1)
    assert manager.messages() == []


def test_a_short_watchdog_is_told_more_often(folder: Path) -> None:
    for watchdog, seconds in (("600000", 0.2), ("60000000", 1.0), ("0", 1.0), ("", 1.0), ("soon", 1.0)):
        process = Process({"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": watchdog})
        assert process.systemd.every_seconds == pytest.approx(seconds)


def test_a_name_in_the_abstract_namespace(folder: Path) -> None:
    manager = ServiceManager(f"\0{folder}")
    Process({"NOTIFY_SOCKET": f"@{folder}"}).look()
    assert manager.message()["WATCHDOG"] == "1"
    manager.close()


def test_without_a_service_manager_nothing_is_looked_at() -> None:
    def fail() -> str:
        raise AssertionError("asked")

    systemd = Systemd({}, why_not_ready=fail, stop=threading.Event())
    systemd.look()
    before = threading.active_count()
    with watched_by(systemd):
        assert threading.active_count() == before


def test_a_manager_that_is_gone_is_one_warning(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    process = Process({"NOTIFY_SOCKET": str(folder / "gone")})
    with caplog.at_level(logging.WARNING):
        process.look()
        process.look()
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "NOTIFY_SOCKET does not take the state of this process"
    ]


def test_ready_is_told_to_a_manager_that_comes_late(folder: Path) -> None:
    process = Process({"NOTIFY_SOCKET": str(folder / "late")})
    process.waits = None
    process.look()
    manager = ServiceManager(str(folder / "late"))
    process.look()
    assert manager.message()["READY"] == "1"
    manager.close()


def test_a_thread_looks_for_a_loop_that_does_not(folder: Path, manager: ServiceManager) -> None:
    environ = {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "30000"}
    systemd = Systemd(environ, why_not_ready=lambda: None, stop=threading.Event())
    with watched_by(systemd):
        assert manager.message()["READY"] == "1"
        assert "READY" not in manager.message()
