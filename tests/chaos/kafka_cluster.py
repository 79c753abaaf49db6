"""The brokers of one Kafka, each behind a door."""

from __future__ import annotations

import re
import socket
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flowise_telemetry_transport import KafkaSettings, TopicSpec, open_admin
from tests.chaos.processes import TrialError, wait_for
from tests.consumer.tcp_door import TcpDoor
from tests.services.kafka_java import JavaKafka, Quorum, kafka_tool
from tests.services.ports import free_ports

__all__ = ["KafkaCluster", "connection_to"]

_ADMIN_SECONDS = 60.0
_PROPERTIES = {
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,DOOR:PLAINTEXT",
    "group.min.session.timeout.ms": "1000",
}


class KafkaCluster:
    """Brokers with a replica of each partition on every one; all but one of them have to be in sync.

    Those who judge have a plain way to each broker; those who are tried, and are told of the doors alone, one through
    its door.
    """

    def __init__(self, size: int) -> None:
        with free_ports(size) as ports:
            quorum = Quorum(tuple(ports))
        self.doors = [TcpDoor(self._behind(number)) for number in range(size)]
        replicas, in_sync = str(size), str(max(1, size - 1))
        properties = {
            **_PROPERTIES,
            "min.insync.replicas": in_sync,
            "offsets.topic.replication.factor": replicas,
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": in_sync,
        }
        self.brokers = [
            JavaKafka(properties, ["DOOR"], advertised={"DOOR": door.port}, node=node, quorum=quorum)
            for node, door in enumerate(self.doors, start=1)
        ]

    def start(self) -> KafkaCluster:
        """Return when all are up, which wait for each other; raise ``RungUnavailableError``."""
        with ThreadPoolExecutor(len(self.brokers)) as starting:
            for started in [starting.submit(broker.start) for broker in self.brokers]:
                started.result()
        return self

    def stop(self) -> None:
        """End everything."""
        for door in self.doors:
            door.shut()
        for broker in self.brokers:
            broker.stop()

    def heal(self) -> None:
        """Let everything run and pass again."""
        for door in self.doors:
            door.heal()
        for broker in self.brokers:
            broker.thaw()
            if not broker.is_up:
                broker.launch()

    @property
    def servers_behind_doors(self) -> str:
        """``host:port,…`` for those who are tried."""
        return ",".join(f"127.0.0.1:{door.port}" for door in self.doors)

    def controller(self) -> JavaKafka:
        """Return the broker that is the active controller; clients are told of another one (KIP-595)."""
        told = self._tool("org.apache.kafka.tools.MetadataQuorumCommand", "describe", "--status")
        leader = re.search(r"^LeaderId:\s+(\d+)", told, re.MULTILINE)
        if leader is None:
            raise TrialError(f"no controller is told: {told}")
        return self.brokers[int(leader[1]) - 1]

    def until_in_sync(self) -> None:
        """Return once each partition has all its replicas in sync."""
        admin = self._admin()

        def in_sync() -> bool:
            topics = admin.list_topics(timeout=10).topics.values()
            partitions = [partition for topic in topics for partition in topic.partitions.values()]
            return all(len(partition.isrs) == len(partition.replicas) for partition in partitions)

        wait_for(in_sync, "all replicas in sync")

    def settings(self) -> KafkaSettings:
        """Return the judge's connection."""
        servers = tuple(broker.bootstrap_server for broker in self.brokers)
        return KafkaSettings(bootstrap_servers=servers, client="librdkafka")

    def new_topic(self, partitions: int) -> str:
        """Create a topic and its dead-letter topic; return its name."""
        name = f"chaos-{uuid.uuid4().hex[:12]}"
        self.create_topic(name, partitions)
        self.create_topic(f"{name}.dlq", 1)
        return name

    def create_topic(self, name: str, partitions: int) -> None:
        """Create a topic, a replica on each broker."""
        admin = open_admin(self.settings())
        try:
            admin.create_topic(TopicSpec(name, partitions=partitions, replication_factor=len(self.brokers)))
        finally:
            admin.close()

    def demand_replicas(self, topic: str, count: int) -> None:
        """Set how many replicas have to be in sync before a record is taken."""
        self._tool(
            "kafka.admin.ConfigCommand",
            *("--alter", "--entity-type", "topics", "--entity-name", topic),
            *("--add-config", f"min.insync.replicas={count}"),
        )

    def add_partitions(self, topic: str, count: int) -> None:
        """Raise a topic's partitions to this number."""
        from confluent_kafka.cimpl import NewPartitions

        admin = self._admin()
        for answer in admin.create_partitions([NewPartitions(topic, count)]).values():
            answer.result(_ADMIN_SECONDS)

    def delete_topic(self, topic: str) -> None:
        """Delete a topic; return once its name is free."""
        admin = self._admin()
        for answer in admin.delete_topics([topic]).values():
            answer.result(_ADMIN_SECONDS)
        wait_for(lambda: topic not in admin.list_topics(timeout=10).topics, f"the end of {topic}")

    def expire(self, topic: str) -> dict[int, int]:
        """Remove all records that a topic has, as retention does; return the first offset of each partition."""
        from confluent_kafka import OFFSET_END, TopicPartition

        admin = self._admin()
        partitions = admin.list_topics(topic, timeout=10).topics[topic].partitions
        answers = admin.delete_records([TopicPartition(topic, number, OFFSET_END) for number in partitions])
        return {tp.partition: answer.result(_ADMIN_SECONDS).low_watermark for tp, answer in answers.items()}

    def _tool(self, program: str, *arguments: str) -> str:
        done = kafka_tool(program, "--bootstrap-server", self._servers, *arguments)
        if done.returncode:
            raise TrialError(f"{program} failed: {done.stdout}{done.stderr}")
        return done.stdout

    @property
    def _servers(self) -> str:
        return ",".join(self.settings().bootstrap_servers)

    def _admin(self) -> Any:
        """A client, to be kept while its answers are waited for."""
        from confluent_kafka.admin import AdminClient

        return AdminClient({"bootstrap.servers": self._servers})

    def _behind(self, number: int) -> Callable[[], socket.socket]:
        return lambda: connection_to(self.brokers[number].server_of("DOOR"))


def connection_to(address: str) -> socket.socket:
    """Return a connection to ``host:port``."""
    host, _, port = address.rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout=5)
    connection.settimeout(None)  # that was for connecting; idle ones stay
    return connection
