"""``consume`` as a service: log lines, metrics and health checks."""

from __future__ import annotations

import json
import signal
import urllib.request
import uuid

import pytest

from flowise_telemetry_schemas import event_to_json
from tests.cli.operator import LINES, Operator, wait_until
from tests.cli.service_manager import ServiceManager
from tests.schemas.records import EVENTS


@pytest.mark.real_broker
def test_a_service_tells_of_itself_in_json_and_over_http(operator: Operator) -> None:
    operator.environ["FLOWISE_TELEMETRY_TOPIC"] = f"test-{uuid.uuid4().hex}"
    operator.run("topics", "create")
    operator.run("send", stdin=LINES)
    manager = ServiceManager(f"\0{operator.environ['FLOWISE_TELEMETRY_TOPIC']}")
    operator.environ["NOTIFY_SOCKET"] = f"@{operator.environ['FLOWISE_TELEMETRY_TOPIC']}"
    service = operator.start(
        "consume", "--sink", "sqlite:///live.db", "--http-address", "127.0.0.1:0", "--log-format", "json"
    )
    assert service.stderr is not None
    lines: list[dict[str, str]] = []
    while not any(line["message"].startswith("serving ") for line in lines):
        lines.append(json.loads(service.stderr.readline()))
    address = lines[-1]["message"].removeprefix("serving ").partition("/metrics")[0]

    def metrics() -> str:
        with urllib.request.urlopen(f"{address}/metrics", timeout=60) as answer:
            return str(answer.read(), "utf-8")

    wait_until(lambda: "flowise_telemetry_consumer_records_consumed_total 7.0\n" in metrics())
    for path in ("/healthz", "/readyz"):
        with urllib.request.urlopen(address + path, timeout=60) as answer:
            assert answer.read() == b"ok\n"
    told = manager.message()
    while "READY" not in told:
        assert told["EXTEND_TIMEOUT_USEC"], "it is alive, and joins its group"
        told = manager.message()
    assert told == {"STATUS": "ready", "WATCHDOG": "1", "READY": "1"}
    texts = [metrics()]
    service.send_signal(signal.SIGTERM)
    stdout, stderr = service.communicate(timeout=60)
    assert service.returncode == 0, stderr
    assert "STOPPING" in manager.messages()[-1]
    manager.close()
    lines += map(json.loads, stderr.splitlines())
    for line in lines:
        assert {"time", "level", "logger", "message"} <= line.keys()
    assert any(line["message"].startswith("assigned: ") for line in lines)
    values = [value for event in EVENTS for value in _texts(event_to_json(event)["properties"])]
    assert len(values) > 10
    for text in (*texts, json.dumps(lines)):
        assert [value for value in values if value in text] == []
    assert "tool_created" in stdout


def _texts(value: object) -> list[str]:
    """The texts in an event that cannot be taken for anything else."""
    match value:
        case str():
            return [value] if len(value) > 8 else []
        case dict():
            return [text for inner in value.values() for text in _texts(inner)]
        case list():
            return [text for inner in value for text in _texts(inner)]
        case _:
            return []
