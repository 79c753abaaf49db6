"""The registry of Kafka clients."""

from __future__ import annotations

from typing import get_args

import pytest

from flowise_telemetry_transport import ClientName, KafkaSettings
from flowise_telemetry_transport.clients import CLIENTS, fastest_client, warm_up


def test_every_client_name_has_an_entry() -> None:
    assert set(CLIENTS) == set(get_args(ClientName))


def test_the_fastest_client_is_one_whose_library_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fastest_client() == "librdkafka"
    monkeypatch.setattr("flowise_telemetry_transport.clients.find_spec", lambda library: library == "kafka" or None)
    assert fastest_client() == "kafka-python"


@pytest.mark.parametrize("client", sorted(CLIENTS))
def test_warming_up_needs_no_broker(client: ClientName) -> None:
    warm_up(KafkaSettings(bootstrap_servers=("127.0.0.1:1",), client=client))
