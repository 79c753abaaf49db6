"""A Kafka with logins and an authorizer takes Java and half a minute: ``make test`` leaves these out."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.services.kafka_secure import SecureKafka

collect_ignore_glob = [] if os.environ.get("TEST_SECURITY") else ["test_*.py"]


@pytest.fixture(scope="session")
def secure_kafka() -> Iterator[SecureKafka]:
    broker = SecureKafka().start()
    yield broker
    broker.stop()
