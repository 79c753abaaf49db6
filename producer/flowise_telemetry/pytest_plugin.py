"""pytest plug-in, found by its entry point. Nothing else imports it, so an app does not need pytest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from flowise_telemetry.testing import TelemetryRecorder

__all__ = ["telemetry_recorder"]


@pytest.fixture
def telemetry_recorder() -> Iterator[TelemetryRecorder]:
    """Yield a ``TelemetryRecorder``: give its ``telemetry`` to the app, then assert what was sent."""
    from flowise_telemetry.testing import TelemetryRecorder

    with TelemetryRecorder() as recorder:
        yield recorder
