"""An event whose terms have ended is not sent, and nothing of it is."""

from __future__ import annotations

import time

import pytest

from flowise_telemetry_schemas.events import RETIRED_FROM_MS
from flowise_telemetry_transport import InMemoryBroker
from tests.producer.conftest import MakeTelemetry
from tests.producer.samples import prediction_sent, tool_created


@pytest.mark.parametrize(("since_ms", "sent"), [(0, 1), (1_000, 1), (2**53, 2)])
def test_a_retired_event_is_counted_and_leaves_no_gap(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, monkeypatch: pytest.MonkeyPatch, since_ms: int, sent: int
) -> None:
    assert time.time_ns() // 1_000_000 < 2**53
    monkeypatch.setitem(RETIRED_FROM_MS, "tool_created", since_ms)
    telemetry = make_telemetry()
    telemetry.send_telemetry(tool_created())
    telemetry.send_telemetry(prediction_sent())
    telemetry.close(timeout_seconds=30.0)
    stats = telemetry.stats()
    assert (stats.sent, stats.dropped) == (sent, {"retired": 1} if sent == 1 else {})
    assert stats.accepted + stats.refused == stats.sent + stats.dropped_events == 2
