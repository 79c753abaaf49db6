"""A Kafka broker inside this process: librdkafka's mock cluster. It keeps no data."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from flowise_telemetry_transport.errors import BrokerUnavailableError
from flowise_telemetry_transport.logging import ClientLog

__all__ = ["EmbeddedBroker"]

_START_TIMEOUT_SECONDS = 10.0


class EmbeddedBroker:
    """A context manager; inside it, any Kafka client on this machine can connect to ``bootstrap_servers``.

    It can produce, consume in groups, commit and look up offsets. Its limits: topics have four partitions and are
    created on first use (no CreateTopics), time look-ups find nothing, and its data is lost when it stops. Raises
    ``MissingExtraError`` if confluent-kafka is not installed.
    """

    partitions_per_topic = 4

    def __init__(self) -> None:
        self._host: Any = None
        self._address = ""

    @property
    def bootstrap_servers(self) -> tuple[str, ...]:
        """Its only address, ``127.0.0.1:port``. Raises ``BrokerUnavailableError`` unless it is running."""
        if not self._address:
            raise BrokerUnavailableError("the embedded broker is not running")
        return (self._address,)

    def start(self) -> EmbeddedBroker:
        """Start it, which takes milliseconds."""
        from flowise_telemetry_transport.librdkafka.client import confluent_kafka

        # The mock cluster lives as long as the client that asked for it.
        config = {"test.mock.num.brokers": 1, "bootstrap.servers": "ignored"}
        self._host = confluent_kafka().Producer(config, logger=ClientLog())
        brokers = self._host.list_topics(timeout=_START_TIMEOUT_SECONDS).brokers.values()
        self._address = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
        return self

    def ensure_topic(self, name: str) -> None:
        """Create a topic, which the mock cluster does when asked for its metadata; an existing one stays as it is."""
        self._host.list_topics(topic=name, timeout=_START_TIMEOUT_SECONDS)

    def stop(self) -> None:
        """Stop it and drop its data."""
        self._address = ""
        self._host = None

    def __enter__(self) -> EmbeddedBroker:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
