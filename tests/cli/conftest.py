from __future__ import annotations

from pathlib import Path

import pytest

from flowise_telemetry_transport import open_admin
from tests.cli.operator import Operator
from tests.services.kafka import KafkaService


@pytest.fixture
def servers(kafka: KafkaService) -> str:
    """Address of the tests' broker."""
    return ",".join(kafka.bootstrap_servers)


@pytest.fixture
def embedded_servers(embedded_kafka: KafkaService) -> str:
    """Address of a mock cluster."""
    return ",".join(embedded_kafka.bootstrap_servers)


@pytest.fixture
def operator(kafka: KafkaService, tmp_path: Path) -> Operator:
    topic = kafka.new_topic()
    if not kafka.is_real:  # the mock cluster makes topics as they are asked for
        admin = open_admin(kafka.settings())
        admin.close()
    return Operator(kafka, tmp_path, topic)
