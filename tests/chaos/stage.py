"""The servers of a run: a Kafka and a PostgreSQL, each behind a door, and what sets them right between two trials."""

from __future__ import annotations

import socket
import uuid
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from flowise_telemetry_transport import KafkaSettings, TopicSpec, open_admin
from tests.chaos.processes import wait_for
from tests.consumer.tcp_door import TcpDoor
from tests.services.kafka_java import JavaKafka
from tests.services.postgres_process import PostgresProcess

__all__ = ["Stage"]

_PROPERTIES = {
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,DOOR:PLAINTEXT",
    "group.min.session.timeout.ms": "1000",
}


class Stage:
    """Servers, with a plain way to each for those who judge, and one through a door for those who are tried."""

    def __init__(self) -> None:
        self.kafka_door = TcpDoor(lambda: _connection(self.kafka.server_of("DOOR")))
        self.postgres_door = TcpDoor(lambda: _connection(f"127.0.0.1:{self.postgres.port}"))
        self.kafka = JavaKafka(_PROPERTIES, ["DOOR"], advertised={"DOOR": self.kafka_door.port})
        self.postgres = PostgresProcess()

    def start(self) -> Stage:
        """Start the servers; raises ``RungUnavailableError`` where they cannot be had."""
        self.kafka.start()
        self.postgres.start()
        return self

    def stop(self) -> None:
        """End everything."""
        for door in (self.kafka_door, self.postgres_door):
            door.shut()
        self.kafka.stop()
        self.postgres.stop()

    def settings(self) -> KafkaSettings:
        """Return the judge's connection."""
        return KafkaSettings(bootstrap_servers=(self.kafka.bootstrap_server,), client="librdkafka")

    def new_topic(self, partitions: int) -> str:
        """Create a topic and its dead-letter topic; return its name."""
        name = f"chaos-{uuid.uuid4().hex[:12]}"
        self.create_topic(name, partitions)
        self.create_topic(f"{name}.dlq", 1)
        return name

    def create_topic(self, name: str, partitions: int) -> None:
        """Create a topic."""
        admin = open_admin(self.settings())
        try:
            admin.create_topic(TopicSpec(name, partitions=partitions))
        finally:
            admin.close()

    def new_database(self) -> str:
        """Create a database; return its URL through the door."""
        name = f"chaos_{uuid.uuid4().hex[:12]}"
        self.postgres.execute(f'CREATE DATABASE "{name}"')
        return urlunsplit(
            urlsplit(self.postgres.url)._replace(
                netloc=f"postgres@127.0.0.1:{self.postgres_door.port}", path=f"/{name}"
            )
        )

    def fail_over(self, standby: PostgresProcess) -> None:
        """Let the server end for good, and put a standby behind its door."""
        self.postgres.stop()
        standby.start()
        standby.promote()
        self.postgres = standby
        self.postgres_door.cut()

    def add_partitions(self, topic: str, count: int) -> None:
        """Raise a topic's partitions to this number."""
        from confluent_kafka.cimpl import NewPartitions

        for answer in self._admin().create_partitions([NewPartitions(topic, count)]).values():
            answer.result()

    def delete_topic(self, topic: str) -> None:
        """Delete a topic; return once its name is free."""
        for answer in self._admin().delete_topics([topic]).values():
            answer.result()
        wait_for(lambda: topic not in self._admin().list_topics(timeout=10).topics, f"the end of {topic}")

    def expire(self, topic: str) -> dict[int, int]:
        """Remove all records that a topic has, as retention does; return the first offset of each partition."""
        from confluent_kafka import OFFSET_END, TopicPartition

        partitions = self._admin().list_topics(topic, timeout=10).topics[topic].partitions
        asked = [TopicPartition(topic, number, OFFSET_END) for number in partitions]
        return {
            tp.partition: answer.result().low_watermark for tp, answer in self._admin().delete_records(asked).items()
        }

    def _admin(self) -> Any:
        from confluent_kafka.admin import AdminClient

        return AdminClient({"bootstrap.servers": self.kafka.bootstrap_server})

    def heal(self) -> None:
        """Let everything run and pass again."""
        for door in (self.kafka_door, self.postgres_door):
            door.latency_seconds = 0.0
            door.turns_away = False
            door.thaw()
            door.open()
        for server in (self.kafka, self.postgres):
            server.thaw()
        if not self.kafka.is_up:
            self.kafka.launch()
        if not self.postgres.is_up:
            self.postgres.start()


def _connection(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=5)
