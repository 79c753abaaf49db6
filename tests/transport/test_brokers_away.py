"""What a member of a group does while no broker answers, with each client."""

from __future__ import annotations

import time

import pytest

from flowise_telemetry_schemas import TelemetryError
from flowise_telemetry_transport import (
    BrokerUnavailableError,
    EmbeddedBroker,
    KafkaSettings,
    open_reader,
)
from flowise_telemetry_transport.settings import ClientName
from tests.transport.backends import settle

_ONE_POLL_SECONDS = 5.0


@pytest.mark.services
@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_a_commit_that_the_embedded_broker_never_answers_keeps_no_poll_waiting(client: ClientName) -> None:
    """Calls on one consumer of confluent-kafka 2.16 wait for each other, also for a commit in another thread."""
    broker = EmbeddedBroker().start()
    broker.ensure_topic("events")
    settings = KafkaSettings(bootstrap_servers=broker.bootstrap_servers, client=client)
    reader = open_reader(settings, group="away")
    try:
        reader.subscribe(["events"])
        settle(reader)
        offsets = dict.fromkeys(reader.assignment(), 0)
        reader.commit(offsets, timeout_seconds=10)
        broker.stop()
        answers: list[TelemetryError | None] = []
        with pytest.raises(BrokerUnavailableError):
            reader.commit(dict.fromkeys(offsets, 1), timeout_seconds=1)
        reader.begin_commit(dict.fromkeys(offsets, 1), answers.append, timeout_seconds=1)
        for _ in range(3):
            began = time.monotonic()
            reader.poll(timeout_seconds=0.1, max_records=10)
            assert time.monotonic() - began < _ONE_POLL_SECONDS
        assert None not in answers
    finally:
        broker.stop()
        began = time.monotonic()
        reader.close(timeout_seconds=3)
    assert time.monotonic() - began < 3 + _ONE_POLL_SECONDS
