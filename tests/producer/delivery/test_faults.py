"""A lasting fault in the sender's own set-up: a library that is missing or too old, schemas that were not packed."""

from __future__ import annotations

import logging
import sys

import pytest

from flowise_telemetry_transport import InMemoryBroker
from tests.producer.conftest import MakeTelemetry
from tests.producer.samples import stored, tool_created, wait_until

FAULTS = {
    "fastavro is missing": ModuleNotFoundError("No module named 'fastavro'"),
    "the schemas are not packed": FileNotFoundError(2, "No such file or directory", "avro"),
}


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
