"""A real broker of a test's own that can be killed and started again, and is found at the same address after."""

from __future__ import annotations

import socket
from typing import Any

from tests.consumer.tcp_door import TcpDoor
from tests.services.docker_engine import quiet_testcontainers, wait_until
from tests.services.kafka_container import KafkaContainer

_RESTART_TIMEOUT_SECONDS = 120


class MortalKafka(KafkaContainer):
    """It advertises a door in front of it, as Docker maps its port anew at every start."""

    def __init__(self, image: str, **kwargs: Any) -> None:
        super().__init__(image, **kwargs)
        self._door = TcpDoor(self._connect)

    def _connect(self) -> socket.socket:
        return socket.create_connection((self.get_container_host_ip(), int(self.get_exposed_port(9092))))

    def get_bootstrap_server(self) -> str:
        return f"127.0.0.1:{self._door.port}"

    def kill(self) -> None:
        """SIGKILL, with everything that is under way."""
        self._door.shut()
        with quiet_testcontainers():
            self.get_wrapped_container().kill()

    def revive(self) -> None:
        """Returns when the broker is up again, with the data that it had."""
        with quiet_testcontainers():
            starts = self._starts()
            self.get_wrapped_container().start()
            wait_until(
                lambda: self._starts() > starts,
                timeout_seconds=_RESTART_TIMEOUT_SECONDS,
                alive=self._alive,
                what="the Kafka container",
            )
        self._door.open()

    def _starts(self) -> int:
        return b"".join(self.get_logs()).count(b"Kafka Server started")

    def end(self) -> None:
        self._door.shut()
        with quiet_testcontainers():
            self.stop()
