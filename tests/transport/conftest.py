"""The backends of the contract suite."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest

from flowise_telemetry_transport import ClientName
from tests.transport.backends import Backend, ClusterBackend, MemoryBackend

BACKENDS = ("kafka-python ladder", "librdkafka ladder", "kafka-python embedded", "librdkafka embedded", "memory")


@pytest.fixture(
    params=[pytest.param(name, marks=pytest.mark.services if name != "memory" else ()) for name in BACKENDS]
)
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """Each client on the broker of the ladder and on the embedded one, and the in-memory broker."""
    client, _, broker = str(request.param).partition(" ")
    opened: Backend
    if client == "memory":
        opened = MemoryBackend()
    else:
        service = request.getfixturevalue("kafka" if broker == "ladder" else "embedded_kafka")
        opened = ClusterBackend(cast(ClientName, client), service)
    yield opened
    opened.close()
