"""The reason why a cluster cannot be used, within seconds."""

from __future__ import annotations

import threading

from flowise_telemetry_schemas.errors import ConfigurationError, TelemetryError
from flowise_telemetry_transport.diagnosis.probe import probe
from flowise_telemetry_transport.errors import (
    AuthenticationError,
    BrokerUnavailableError,
    DeliveryTimeoutError,
    TransportError,
)
from flowise_telemetry_transport.settings import KafkaSettings

__all__ = ["DIAGNOSIS_SECONDS", "diagnose", "explained"]

DIAGNOSIS_SECONDS = 3.0
_SERVERS = 3
_WITHOUT_REASON = (TransportError, BrokerUnavailableError, AuthenticationError, DeliveryTimeoutError)


def diagnose(settings: KafkaSettings, *, seconds: float = DIAGNOSIS_SECONDS) -> TelemetryError | None:
    """Return why these servers cannot be used, as the most specific error; None if one of them can be, from here.

    Opens a connection of its own to up to three servers, logs in and asks for the brokers' addresses. Takes no longer
    than ``seconds``, whatever name look-ups take.
    """
    found: list[TelemetryError | None] = []
    thread = threading.Thread(
        target=lambda: found.append(_first_reason(settings, seconds)), name="flowise-telemetry-diagnosis", daemon=True
    )
    try:
        thread.start()
    except RuntimeError:  # Python 3.12 starts no thread once the interpreter shuts down
        return None
    thread.join(seconds)
    if found:
        return found[0]
    return BrokerUnavailableError(f"{settings.servers_text} does not answer within {seconds:g} s")


def _first_reason(settings: KafkaSettings, seconds: float) -> TelemetryError | None:
    reasons: list[TelemetryError] = []
    servers = settings.bootstrap_servers[:_SERVERS]
    for server in servers:
        try:
            probe(settings, server, seconds=0.9 * seconds / len(servers))
        except TelemetryError as error:
            reasons.append(error)
        except Exception:  # a peer that answers nonsense
            reasons.append(BrokerUnavailableError(f"what listens at {server} does not answer as a broker does"))
        else:
            return None
    # One that answered, and says why not, knows more than one that did not.
    return next((error for error in reasons if not isinstance(error, BrokerUnavailableError)), reasons[0])


def explained(error: TransportError, settings: KafkaSettings) -> TelemetryError:
    """Return the reason behind a failed connection; the error itself if there is none to be found."""
    if type(error) not in _WITHOUT_REASON:
        return error
    try:
        found = diagnose(settings)
    except ConfigurationError as reason:
        return reason
    return error if found is None else found
