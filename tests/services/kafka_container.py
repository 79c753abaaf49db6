"""``apache/kafka`` under testcontainers, whose own ``KafkaContainer`` runs Confluent's images only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.services.docker_engine import quiet_testcontainers, wait_until

if TYPE_CHECKING:
    from typing import Self

with quiet_testcontainers():
    from testcontainers.core.container import DockerContainer

__all__ = ["KafkaContainer"]

_PORT = 9092
_START_TIMEOUT_SECONDS = 120


class KafkaContainer(DockerContainer):
    """One broker in KRaft mode; ``get_bootstrap_server()`` is its address from here.

    A broker tells its clients where to find it, and where that is (host, mapped port) is known only once the container
    runs. So the container first waits for a file with that address, then starts Kafka.
    """

    def __init__(self, image: str = "apache/kafka:4.1.0", **kwargs: Any) -> None:
        super().__init__(image, **kwargs)
        self.with_exposed_ports(_PORT)
        self.with_envs(
            KAFKA_NODE_ID="1",
            KAFKA_PROCESS_ROLES="broker,controller",
            KAFKA_LISTENERS=f"PLAINTEXT://0.0.0.0:{_PORT},BROKER://localhost:9094,CONTROLLER://localhost:9093",
            KAFKA_LISTENER_SECURITY_PROTOCOL_MAP="PLAINTEXT:PLAINTEXT,BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
            # The transaction coordinator connects to its own broker, which has no way to a port mapped to localhost.
            KAFKA_INTER_BROKER_LISTENER_NAME="BROKER",
            KAFKA_CONTROLLER_LISTENER_NAMES="CONTROLLER",
            KAFKA_CONTROLLER_QUORUM_VOTERS="1@localhost:9093",
            KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR="1",
            KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR="1",
            KAFKA_TRANSACTION_STATE_LOG_MIN_ISR="1",
            KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS="0",
            KAFKA_AUTO_CREATE_TOPICS_ENABLE="false",
            KAFKA_HEAP_OPTS="-Xmx512m -Xms256m",
        )
        self.with_command(
            ["sh", "-c", "until [ -f /tmp/address ]; do sleep 0.1; done; . /tmp/address; exec /etc/kafka/docker/run"]
        )

    def get_bootstrap_server(self) -> str:
        """``host:port``."""
        return f"{self.get_container_host_ip()}:{self.get_exposed_port(_PORT)}"

    def start(self) -> Self:
        """Returns when the broker is up."""
        super().start()
        listeners = f"PLAINTEXT://{self.get_bootstrap_server()},BROKER://localhost:9094"
        address = f"export KAFKA_ADVERTISED_LISTENERS={listeners}"
        self.exec(["sh", "-c", f"echo '{address}' > /tmp/address.new && mv /tmp/address.new /tmp/address"])
        wait_until(
            lambda: b"Kafka Server started" in b"".join(self.get_logs()),
            timeout_seconds=_START_TIMEOUT_SECONDS,
            alive=self._alive,
            what="the Kafka container",
        )
        return self

    def _alive(self) -> bool:
        self.reload()
        return bool(self.status == "running")
