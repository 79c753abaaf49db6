"""The backends of the contract suite as fixtures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest

from flowise_telemetry_transport import ClientName, TransportError
from tests.transport.backends import (
    BACKENDS,
    WRITING_BACKENDS,
    Backend,
    ClusterBackend,
    GatewayBackend,
    MemoryBackend,
)

_PARAMETERS = [pytest.param(name, marks=pytest.mark.services if name != "memory" else ()) for name in BACKENDS]


@pytest.fixture(params=_PARAMETERS)
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """Each client on the broker of the ladder and on the embedded one, and the in-memory broker."""
    yield from _opened(request)


@pytest.fixture(params=[*_PARAMETERS, *WRITING_BACKENDS])
def writing_backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """The same, and what only writes: a test of it names no partition and asks for no place."""
    yield from _opened(request)


def _opened(request: pytest.FixtureRequest) -> Iterator[Backend]:
    client, broker, protocol = [*str(request.param).split(" "), "", ""][:3]
    opened: Backend
    if client == "memory":
        opened = MemoryBackend()
    elif client == "gateway":
        opened = GatewayBackend()
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
