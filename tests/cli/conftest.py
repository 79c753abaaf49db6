from __future__ import annotations

import pytest

from tests.services.kafka import KafkaService


@pytest.fixture
def servers(kafka: KafkaService) -> str:
    """Where the ladder's broker is."""
    return ",".join(kafka.bootstrap_servers)


@pytest.fixture
def embedded_servers(embedded_kafka: KafkaService) -> str:
    """Where a mock cluster is."""
    return ",".join(embedded_kafka.bootstrap_servers)
