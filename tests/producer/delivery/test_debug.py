from __future__ import annotations

import json

import pytest

from flowise_telemetry import Telemetry
from tests.producer.samples import tool_created


def test_debug_prints_in_place_of_sending(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    environ["FLOWISE_TELEMETRY_DEBUG"] = "1"
    environ["FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS"] = "127.0.0.1:1"
    with Telemetry(app_version="3.0.1", environ=environ) as telemetry:
        telemetry.send_telemetry(tool_created(5))
        assert telemetry.flush(5.0)
    out, err = capsys.readouterr()
    assert out == ""
    shown, told = (json.loads(line.partition(": ")[2]) for line in err.splitlines())
    assert shown["event"] == "tool_created"
    assert shown["properties"]["toolName"] == "get_weather"
    assert told["event"] == "stream_state"
