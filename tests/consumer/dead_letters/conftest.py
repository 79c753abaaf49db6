"""What the tests of dead letters share."""

from __future__ import annotations

import logging

import pytest

from tests.consumer.dead_letters.redriven import Redriven


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "flowise_telemetry")


@pytest.fixture
def it() -> Redriven:
    return Redriven()
