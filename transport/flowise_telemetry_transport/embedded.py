"""A Kafka broker inside this process: librdkafka's mock cluster. It keeps no data."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from flowise_telemetry_schemas.errors import MissingExtraError
from flowise_telemetry_transport.errors import BrokerUnavailableError
from flowise_telemetry_transport.logging import ClientLog

__all__ = ["EmbeddedBroker"]

_START_TIMEOUT_SECONDS = 10.0


class EmbeddedBroker:
    """A context manager; inside it ``bootstrap_servers`` is where any Kafka client of this machine can connect.

    It speaks the protocol for producing, group-consuming, committing and looking up offsets. What it cannot do:
    topics have
    four partitions and appear on first use (no CreateTopics), nothing outlives the process, and there are no time
    look-ups.
    Raises ``MissingExtraError`` when confluent-kafka is not installed.
    """

    partitions_per_topic = 4

    def __init__(self) -> None:
        self._host: Any = None
        self._address = ""

    @property
    def bootstrap_servers(self) -> tuple[str, ...]:
        """Its one address, ``127.0.0.1:port``."""
        if not self._address:
            raise BrokerUnavailableError("the embedded broker is not running")
        return (self._address,)

    def start(self) -> EmbeddedBroker:
        """Starts it; takes milliseconds."""
        try:
            from confluent_kafka import Producer
        except ImportError as error:
            raise MissingExtraError("confluent-kafka", "librdkafka") from error
        # The mock cluster lives as long as the client that asked for it.
        self._host = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "ignored"}, logger=ClientLog())
        brokers = self._host.list_topics(timeout=_START_TIMEOUT_SECONDS).brokers.values()
        self._address = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
        return self

    def ensure_topic(self, name: str) -> None:
        """Makes a topic by asking for it, which is how the mock cluster makes them; there already is fine."""
        self._host.list_topics(topic=name, timeout=_START_TIMEOUT_SECONDS)

    def stop(self) -> None:
        """Ends it; its data is gone."""
        self._address = ""
        self._host = None

    def __enter__(self) -> EmbeddedBroker:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
