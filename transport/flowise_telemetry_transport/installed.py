"""What is installed of the Kafka clients, without importing one of them."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from flowise_telemetry_schemas.errors import MissingExtraError
from flowise_telemetry_transport.clients import CLIENTS
from flowise_telemetry_transport.diagnosis.finding import Finding, failed, ok, warning
from flowise_telemetry_transport.kafka_python.release import mixed_install
from flowise_telemetry_transport.settings import ClientName

__all__ = ["look_at_installed"]

_DISTRIBUTIONS = ("flowise-telemetry", "kafka-python-ng", "kafka-python", "confluent-kafka")
_EXTRAS = {"librdkafka": ("confluent-kafka", "librdkafka")}


def look_at_installed(client: ClientName) -> Iterator[Finding]:
    """Yield the versions, whether the chosen client is there, and whether two have overwritten each other's files."""
    found = [f"Python {platform.python_version()}"]
    for name in _DISTRIBUTIONS:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    yield ok("versions", ", ".join(found))
    if find_spec(CLIENTS[client].LIBRARY) is None:
        missing = MissingExtraError(*_EXTRAS[client]) if client in _EXTRAS else f"{client} is not installed"
        yield failed("client", missing)
        return
    mixed = mixed_install() if client == "kafka-python" else None
    yield ok("client", client) if mixed is None else warning("client", mixed)
