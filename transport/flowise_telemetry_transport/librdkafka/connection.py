"""Whether the cluster is there: librdkafka itself connects in the background and never says."""

from __future__ import annotations

from typing import Any

from flowise_telemetry_transport.errors import BrokerUnavailableError
from flowise_telemetry_transport.librdkafka.client import confluent_kafka
from flowise_telemetry_transport.librdkafka.errors import UNAVAILABLE, failure
from flowise_telemetry_transport.settings import KafkaSettings

__all__ = ["check_connection"]


def check_connection(client: Any, settings: KafkaSettings) -> None:
    """Returns when a broker has answered; raises ``BrokerUnavailableError`` after ``connect_timeout_seconds``."""
    try:
        client.list_topics(timeout=settings.connect_timeout_seconds)
    except confluent_kafka().KafkaException as error:
        if error.args[0].name() in UNAVAILABLE:
            raise BrokerUnavailableError(f"no broker answers at {settings.servers_text}") from error
        raise failure(error, f"no connection to {settings.servers_text}") from error
