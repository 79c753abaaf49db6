"""A lasting fault in the sender's own set-up: a library that is missing or too old, schemas that were not packed."""

from __future__ import annotations

import itertools
import logging
import sys
from collections.abc import Callable

import pytest

import flowise_telemetry.encoding.encoder  # noqa: F401 - what it takes from the catalog is not the broken one
from flowise_telemetry.delivery.backoff import Backoff
from flowise_telemetry.delivery.queue import EventQueue
from flowise_telemetry.delivery.requests import Requests
from flowise_telemetry.delivery.wakeup import Wakeup
from flowise_telemetry.delivery.worker import Worker
from flowise_telemetry.stats import Counts
from flowise_telemetry_transport import InMemoryBroker
from flowise_telemetry_transport.errors import AuthorizationError, BrokerUnavailableError
from tests.producer.conftest import MakeTelemetry
from tests.producer.samples import stored, tool_created, wait_until

FAULTS = {
    "fastavro is missing": ModuleNotFoundError("No module named 'fastavro'"),
    "the schemas are not packed": FileNotFoundError(2, "No such file or directory", "avro"),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_it_costs_one_warning_and_no_event(
    fault: str,
    make_telemetry: MakeTelemetry,
    broker: InMemoryBroker,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "flowise_telemetry")
    attempts = 0

    def broken() -> None:
        nonlocal attempts
        attempts += 1
        raise FAULTS[fault]

    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["flowise_telemetry_schemas.catalog"], "catalog", broken)
        telemetry = make_telemetry()
        for number in range(1_000):
            telemetry.send_telemetry(tool_created(number))
        assert not telemetry.flush(0.5)
        assert attempts <= 5, "a flush may not turn the back-off into a busy loop"
        assert telemetry.stats().buffered == 1_000
    wait_until(lambda: telemetry.flush(1.0))
    assert len(stored(broker)) == 1_000
    lines = [(line.levelname, line.getMessage()) for line in caplog.records if line.name == "flowise_telemetry"]
    assert [level for level, _ in lines] == ["WARNING", "INFO"]
    assert lines[0][1].startswith("telemetry: the sender fails, and tries again: ")
    assert "attempt" in lines[1][1]


def test_a_close_does_not_wait_for_a_mend_that_does_not_come(
    make_telemetry: MakeTelemetry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise FAULTS["fastavro is missing"]

    monkeypatch.setattr(sys.modules["flowise_telemetry_schemas.catalog"], "catalog", broken)
    telemetry = make_telemetry()
    for number in range(10):
        telemetry.send_telemetry(tool_created(number))
    telemetry.flush(0.2)
    telemetry.close(timeout_seconds=0.3)
    assert telemetry.stats().dropped == {"closed": 10}
    warnings = [line.getMessage() for line in caplog.records if line.levelno >= logging.WARNING]
    assert len(warnings) == 2
    assert "10 events were lost by the end: 10 closed; " in warnings[1]


def test_a_sender_that_cannot_be_loaded_is_tried_again_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "flowise_telemetry")
    attempts: list[float] = []
    now = [100.0]

    def load() -> None:
        attempts.append(now[0])
        if len(attempts) < 6:
            raise ImportError("no module named nothing")

    class Asleep(Wakeup):
        def wait(self, timeout_seconds: float | None, *, has_work: Callable[[], bool]) -> None:
            now[0] += timeout_seconds or 0.0

    worker = Worker(
        queue=EventQueue(max_events=1, max_bytes=1_000, wakeup=Asleep()),
        counts=Counts(None),
        wakeup=Asleep(),
        requests=Requests(),
        load=load,
        clock=lambda: now[0],
    )
    worker._work(lambda: False)
    waits = [after - before for before, after in itertools.pairwise(attempts)]
    assert [longest / 2 <= wait <= longest for wait, longest in zip(waits, (0.5, 1, 2, 4, 8), strict=True)] == [
        True
    ] * 5
    assert [(line.levelname, line.getMessage().partition(" after")[0]) for line in caplog.records] == [
        (
            "WARNING",
            "telemetry: the sender cannot be loaded and is tried again: ImportError('no module named nothing')",
        ),
        ("INFO", "telemetry: loading the sender works again"),
    ]
    assert worker.last_error is None


def test_what_waiting_does_not_mend_is_told() -> None:
    backoff = Backoff(lambda: 0.0)
    assert not backoff.lasts
    backoff.failed(AuthorizationError("grant Write"))
    assert backoff.lasts
    backoff.failed(BrokerUnavailableError("away"))
    assert not backoff.lasts
    backoff.failed(AuthorizationError("grant Write"))
    backoff.succeeded()
    assert not backoff.lasts
