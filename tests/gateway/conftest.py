"""A gateway on a port of its own, before a broker in memory."""

from __future__ import annotations

import gzip
import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flowise_telemetry import Limits, Telemetry
from flowise_telemetry_gateway import Gateway, GatewayCounters, GatewayLimits, ProjectKeys, serve
from flowise_telemetry_gateway.intake.forwarder import Forwarder
from flowise_telemetry_gateway.intake.posthog import PosthogIntake
from flowise_telemetry_gateway.serving.server import bound_socket
from flowise_telemetry_transport import InMemoryBroker
from flowise_telemetry_transport.topics import EVENTS_TOPIC

KEY = "a-project-key-of-the-tests"
REVOKED = "a-project-key-that-was-revoked"
ID = "0e0f0a0b-1c2d-4e3f-8a9b-0123456789ab"


@dataclass(frozen=True, slots=True)
class Answered:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class World:
    """A running gateway, and what is behind it."""

    port: int
    broker: InMemoryBroker
    telemetry: Telemetry
    counters: GatewayCounters
    gateway: Gateway
    stop: Callable[[], None]

    def request(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answered:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            return Answered(response.status, named, response.read())
        finally:
            connection.close()

    def post(self, path: str, document: Any, *, compressed: bool = False) -> Answered:
        body = json.dumps(document).encode()
        headers = {"Content-Type": "application/json"}
        if compressed:
            body, headers = gzip.compress(body), {**headers, "Content-Encoding": "gzip"}
        return self.request("POST", path, body, headers)


MakeGateway = Callable[..., World]


def tool(number: int = 0, **changed: Any) -> dict[str, Any]:
    """A message of posthog-node."""
    return {
        "distinct_id": "org-1",
        "event": "tool_created",
        "properties": {"toolId": ID, "toolName": f"tool_{number}", "version": "3.0.1", "$lib": "posthog-node"},
        "uuid": f"0190a1b2-0000-7000-8000-{number:012x}",
        **changed,
    }


@pytest.fixture
def broker() -> InMemoryBroker:
    return InMemoryBroker()


@pytest.fixture
def make_gateway(broker: InMemoryBroker, tmp_path: Path) -> Iterator[MakeGateway]:
    with ExitStack() as opened:

        def make(
            limits: GatewayLimits | None = None,
            keys: ProjectKeys | None = None,
            spool_dir: Path | None = None,
            forwarder: bool = True,
            metrics_token: bytes | None = None,
            producer_limits: Limits | None = None,
            port: int = 0,
            tls_certificate: Path | None = None,
        ) -> World:
            limits = limits or GatewayLimits()
            telemetry = Telemetry(
                app_version="0.0.0",
                environ={"FLOWISE_TELEMETRY_CONFIG_DIR": str(tmp_path / "config")},
                writer_factory=broker.open_writer,
                spool_dir=spool_dir,
                limits=producer_limits,
            )
            opened.callback(telemetry.close, timeout_seconds=1.0)
            counters = GatewayCounters()
            forwards = Forwarder(EVENTS_TOPIC, broker.open_writer, answer_seconds=limits.answer_seconds)
            opened.callback(forwards.close, 10.0)
            gateway = Gateway(
                telemetry=telemetry,
                intake=PosthogIntake(telemetry, b"s" * 32, counters),
                forwarder=forwards if forwarder else None,
                keys=keys or ProjectKeys(f"tests: {KEY}\nrevoked old: {REVOKED}"),
                limits=limits,
                counters=counters,
                waits_for_disk=spool_dir is not None,
            )
            bound = bound_socket("127.0.0.1", port)
            opened.callback(bound.close)
            stop, started = threading.Event(), threading.Event()
            options = {"metrics_token": metrics_token, "tls_certificate": tls_certificate}
            thread = threading.Thread(
                target=serve, args=(gateway, bound), kwargs={"stop": stop, "on_start": started.set, **options}
            )

            def end() -> None:
                stop.set()
                thread.join()
                bound.close()

            thread.start()
            opened.callback(end)
            assert started.wait(60.0)
            return World(bound.getsockname()[1], broker, telemetry, counters, gateway, end)

        yield make
