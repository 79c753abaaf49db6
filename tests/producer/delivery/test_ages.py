"""Ages of events while the clock of the machine is set."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from flowise_telemetry import Limits
from flowise_telemetry_transport import InMemoryBroker
from tests.producer.conftest import MakeTelemetry
from tests.producer.samples import stored, tool_created, wait_until

DAY_NS = 86_400 * 1_000_000_000
Jump = Callable[[int], None]


@pytest.fixture
def jump(monkeypatch: pytest.MonkeyPatch) -> Jump:
    """Set the wall clock forward, or back, by so many days."""
    real_ns, real, offset_ns = time.time_ns, time.time, 0

    def by_days(days: int) -> None:
        nonlocal offset_ns
        offset_ns += days * DAY_NS

    monkeypatch.setattr(time, "time_ns", lambda: real_ns() + offset_ns)
    monkeypatch.setattr(time, "time", lambda: real() + offset_ns / 1e9)
    return by_days


@pytest.mark.parametrize("days", [30, -30])
@pytest.mark.parametrize("spool", [True, False], ids=["spool", "memory"])
def test_a_jump_during_an_outage_expires_nothing(
    days: int, spool: bool, jump: Jump, make_telemetry: MakeTelemetry, broker: InMemoryBroker, tmp_path: Path
) -> None:
    broker.down = True
    telemetry = make_telemetry(
        spool_dir=tmp_path / "spool" if spool else None,
        limits=Limits(buffer_max_events=40),  # with a spool, half of them are read back from the disk
    )
    for number in range(40):
        telemetry.send_telemetry(tool_created(number))
        if number == 20:
            jump(days)
    wait_until(lambda: telemetry.stats().spooled == 40 or (not spool and telemetry.stats().stream_id))
    jump(days)
    broker.down = False
    wait_until(lambda: telemetry.flush(0.2))
    assert (telemetry.stats().sent, telemetry.stats().dropped) == (40, {})
    assert len(stored(broker)) == 40


def test_a_jump_after_the_start_expires_nothing_that_a_dead_process_left(
    jump: Jump, make_telemetry: MakeTelemetry, broker: InMemoryBroker, tmp_path: Path
) -> None:
    broker.down = True
    first = make_telemetry(spool_dir=tmp_path)
    for number in range(10):
        first.send_telemetry(tool_created(number))
    first.close(timeout_seconds=0.2)
    second = make_telemetry(spool_dir=tmp_path)
    wait_until(lambda: second.stats().recovered == 10)
    jump(30)
    broker.down = False
    wait_until(lambda: second.stats().sent == 10)
    assert second.stats().dropped == {}


def test_what_a_dead_process_left_too_long_ago_expires(
    jump: Jump, make_telemetry: MakeTelemetry, broker: InMemoryBroker, tmp_path: Path
) -> None:
    broker.down = True
    first = make_telemetry(spool_dir=tmp_path)
    first.send_telemetry(tool_created())
    first.close(timeout_seconds=0.2)
    jump(8)
    broker.down = False
    second = make_telemetry(spool_dir=tmp_path)
    wait_until(lambda: second.stats().dropped == {"expired": 1})
