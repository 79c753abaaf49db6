"""The way to a cluster, a finding a step: name, connection, TLS, login, listeners."""

from __future__ import annotations

import time
from collections.abc import Iterator

from flowise_telemetry_schemas.errors import ConfigurationError, TelemetryError
from flowise_telemetry_transport.diagnosis.finding import Finding, failed, not_tried, warning
from flowise_telemetry_transport.diagnosis.probe import probe
from flowise_telemetry_transport.errors import (
    AdvertisedListenerError,
    AuthenticationError,
    TlsError,
    UnknownHostError,
    UnreachableError,
)
from flowise_telemetry_transport.settings import KafkaSettings

__all__ = ["STEPS", "look_at_servers", "usable"]

STEPS = ("name", "connection", "TLS", "login", "listeners")
"""In the order in which a client takes them."""

_STEP_OF: tuple[tuple[type[Exception], str], ...] = (
    (UnknownHostError, "name"),
    (AdvertisedListenerError, "listeners"),
    (AuthenticationError, "login"),
    (TlsError, "TLS"),
)
_SERVERS = 5


def look_at_servers(settings: KafkaSettings, *, seconds: float) -> Iterator[Finding]:
    """Yield the steps to the first server that can be used, else those to the one that was got furthest with.

    Every other server that was looked at and cannot be used is a warning: a client takes the next one.
    """
    end = time.monotonic() + seconds
    tried: list[tuple[str, list[Finding], TelemetryError | None]] = []
    servers = settings.bootstrap_servers[:_SERVERS]
    for number, server in enumerate(servers):
        found: list[Finding] = []
        left = max(0.2, end - time.monotonic()) / (len(servers) - number)
        tried.append((server, found, _reason(settings, server, left, found)))
    best = min(tried, key=lambda each: (each[2] is not None, -len(each[1])))
    yield from _steps(best[1], best[2])
    for server, _, error in tried:
        if error is not None and server != best[0]:
            yield warning("server", f"{server} cannot be used, and clients go on to the next: {error}")


def usable(findings: list[Finding]) -> bool:
    """Return True if no step failed, as far as they could be gone."""
    return {each.name for each in findings if each.state != "failed"} >= set(STEPS)


def _reason(settings: KafkaSettings, server: str, seconds: float, found: list[Finding]) -> TelemetryError | None:
    try:
        probe(settings, server, seconds=seconds, told=found.append)
    except TelemetryError as error:
        return error
    except Exception:  # a peer that answers nonsense
        return UnreachableError(f"what listens at {server} does not answer as a broker does")
    return None


def _steps(found: list[Finding], error: TelemetryError | None) -> Iterator[Finding]:
    gone = {each.name: each for each in found}
    if error is None:
        yield from found
        return
    wrong = _step_of(error)
    for step in STEPS[: STEPS.index(wrong)]:
        yield gone.get(step) or not_tried(step, "no step of its own here")
    yield failed(wrong, error)
    for step in STEPS[STEPS.index(wrong) + 1 :]:
        yield not_tried(step, f"{wrong} failed")


def _step_of(error: TelemetryError) -> str:
    if isinstance(error, ConfigurationError):
        return "TLS" if (error.argument or "").startswith("ssl_") else "login"
    return next((step for kind, step in _STEP_OF if isinstance(error, kind)), "connection")
