"""pytest plug-in, found by its entry point. Nothing else imports it, so an app does not need pytest."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from flowise_telemetry import environment

if TYPE_CHECKING:
    from flowise_telemetry.testing import TelemetryRecorder

__all__ = ["pytest_addoption", "pytest_load_initial_conftests", "telemetry_recorder"]

INI_OPTION = environment.DISABLE.lower()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option ``disable_flowise_telemetry`` of pytest's configuration file."""
    parser.addini(INI_OPTION, "Turn telemetry off in this run and its child processes.", type="bool", default=False)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Opt out for this process and its children before any code of the app is imported, if the option says so."""
    if early_config.getini(INI_OPTION):
        os.environ[environment.DISABLE] = "true"


@pytest.fixture
def telemetry_recorder() -> Iterator[TelemetryRecorder]:
    """Yield a ``TelemetryRecorder``: give its ``telemetry`` to the app, then assert what was sent."""
    from flowise_telemetry.testing import TelemetryRecorder

    with TelemetryRecorder() as recorder:
        yield recorder
