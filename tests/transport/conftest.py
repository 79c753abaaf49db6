"""The backends of the contract suite as fixtures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest

from flowise_telemetry_transport import ClientName, TransportError
from tests.transport.backends import BACKENDS, Backend, ClusterBackend, MemoryBackend


@pytest.fixture(
    params=[pytest.param(name, marks=pytest.mark.services if name != "memory" else ()) for name in BACKENDS]
)
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """Each client on the broker of the ladder and on the embedded one, and the in-memory broker."""
    client, broker, protocol = [*str(request.param).split(" "), "", ""][:3]
    opened: Backend
    if client == "memory":
        opened = MemoryBackend()
    else:
        service = request.getfixturevalue("kafka" if broker == "ladder" else "embedded_kafka")
        opened = ClusterBackend(cast(ClientName, client), service, protocol)
    yield opened
    opened.close()


@pytest.fixture
def topic_creation(request: pytest.FixtureRequest, backend: Backend) -> None:
    """Expect the test to fail on librdkafka's mock cluster, which has no CreateTopics; a pass is then a failure."""
    if not backend.creates_topics:
        reason = "librdkafka's mock cluster has no CreateTopics"
        request.applymarker(pytest.mark.xfail(reason=reason, raises=TransportError, strict=True))
