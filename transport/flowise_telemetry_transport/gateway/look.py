"""A gateway, looked at: the way there, its readiness, whether it takes this key, and its clock."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from email.utils import parsedate_to_datetime

from flowise_telemetry_schemas.errors import ConfigurationError, TelemetryError
from flowise_telemetry_transport.diagnosis.certificate import secure_finding
from flowise_telemetry_transport.diagnosis.clock import clock_finding
from flowise_telemetry_transport.diagnosis.finding import Finding, failed, not_tried, ok
from flowise_telemetry_transport.errors import TlsError, UnknownHostError
from flowise_telemetry_transport.gateway.connection import Connection
from flowise_telemetry_transport.gateway.settings import GatewaySettings
from flowise_telemetry_transport.gateway.verdict import verdict_of

__all__ = ["look_at_gateway"]

_KEY = "gateway: key"
_READY = "gateway: ready"
_STEPS = ("name", "connection", "TLS", _READY, _KEY, "clock")


def look_at_gateway(settings: GatewaySettings, *, seconds: float) -> Iterator[Finding]:
    """Yield the steps to a gateway, in order. What is posted is a batch without a record."""
    each = seconds / 3
    bounded = replace(settings, connect_timeout_seconds=each, request_timeout_seconds=each)
    connection = None
    try:
        connection = Connection(bounded)
        ready = connection.get("/readyz")
    except TelemetryError as error:
        yield from _unreached(error)
        return
    else:
        heard = time.time()
        yield ok("connection", f"{settings.shown} answers")
        if connection.secured is not None:
            yield secure_finding(connection.secured, settings.shown)
        elif not settings.is_secure:
            yield ok("TLS", "none: all is sent in clear")
        yield _ready(ready.status, ready.body, settings.shown)
        yield from _key(connection, settings)
        yield from _clock(ready.headers, settings.shown, heard)
    finally:
        if connection is not None:
            connection.close()


def _unreached(error: TelemetryError) -> Iterator[Finding]:
    step = "connection"
    if isinstance(error, UnknownHostError):
        step = "name"
    elif isinstance(error, TlsError | ConfigurationError):
        step = "TLS"
    yield failed(step, error)
    for later in _STEPS[_STEPS.index(step) + 1 :]:
        yield not_tried(later, f"{step} failed")


def _ready(status: int, body: bytes, shown: str) -> Finding:
    if status == 200:
        return ok(_READY, f"{shown} is ready")
    if status == 503:
        return failed(_READY, f"{shown} is not ready: {body[:300].decode('utf-8', 'replace').strip()}")
    return not_tried(_READY, f"{shown} does not show /readyz (status {status})")


def _key(connection: Connection, settings: GatewaySettings) -> Iterator[Finding]:
    try:
        response = connection.post(b"", is_gzip=False, key=settings.key)
    except TelemetryError as error:
        yield failed(_KEY, error)
        return
    verdict = verdict_of(response, sent=0, shown=settings.shown)
    if verdict.error is None:
        yield ok(_KEY, f"{settings.shown} takes the project key")
    else:
        yield failed(_KEY if verdict.by_key else "gateway", verdict.error)


def _clock(headers: Mapping[str, str], shown: str, heard_seconds: float) -> Iterator[Finding]:
    try:
        theirs = parsedate_to_datetime(headers.get("date", "")).timestamp()
    except ValueError:
        yield not_tried("clock", f"{shown} sends no Date")
    else:
        yield clock_finding("clock", shown, theirs, heard_seconds)
