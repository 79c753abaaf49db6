"""The servers of a run: Kafkas and a PostgreSQL, each behind a door, and what sets them right between two trials."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from tests.chaos.kafka_cluster import KafkaCluster, connection_to
from tests.consumer.tcp_door import TcpDoor
from tests.services.kafka_java import JavaKafka
from tests.services.object_store import ACCESS_KEY, BUCKET, SECRET_KEY, SeaweedFS
from tests.services.postgres_process import PostgresProcess

__all__ = ["SinkKind", "Stage"]

SinkKind = Literal["postgresql", "small disk", "delta", "delta+s3"]
"""A small disk holds a SQLite file; it can be filled."""


class Stage:
    """Servers, with a plain way to each for those who judge, and one through a door for those who are tried."""

    def __init__(self) -> None:
        self.cluster = KafkaCluster(1)
        self._clusters = {1: self.cluster}
        self.postgres_door = TcpDoor(lambda: connection_to(f"127.0.0.1:{self.postgres.port}"))
        self.postgres = PostgresProcess()
        self._object_store: SeaweedFS | None = None

    def start(self) -> Stage:
        """Start the servers; raises ``RungUnavailableError`` where they cannot be had."""
        self.cluster.start()
        self.postgres.start()
        return self

    def use(self, brokers: int) -> None:
        """Take the Kafka of so many brokers for what comes; it is started when it is wanted first."""
        if brokers not in self._clusters:
            self._clusters[brokers] = KafkaCluster(brokers)
            self._clusters[brokers].start()
        self.cluster = self._clusters[brokers]

    def stop(self) -> None:
        """End everything."""
        self.postgres_door.shut()
        for cluster in self._clusters.values():
            cluster.stop()
        self.postgres.stop()
        if self._object_store is not None:
            self._object_store.stop()

    @property
    def kafka(self) -> JavaKafka:
        """The first broker."""
        return self.cluster.brokers[0]

    @property
    def kafka_door(self) -> TcpDoor:
        """The door of the first broker."""
        return self.cluster.doors[0]

    @property
    def object_store(self) -> SeaweedFS:
        """The object storage, started when it is wanted first."""
        if self._object_store is None:
            self._object_store = SeaweedFS()
            self._object_store.start()
            os.environ |= {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
        return self._object_store

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

    def sink_url(self, kind: SinkKind, folder: Path) -> str:
        """Return the URL of an empty sink; ``folder`` is for those on disk."""
        match kind:
            case "postgresql":
                return self.new_database()
            case "small disk":
                return f"sqlite:///{folder}/events.db"
            case "delta":
                return f"delta:///{folder}/events"
            case "delta+s3":
                name = uuid.uuid4().hex
                return f"delta+s3://{BUCKET}/{name}/events?endpoint_url={self.object_store.endpoint}"

    def heal(self) -> None:
        """Let everything run and pass again."""
        self.cluster.heal()
        self.postgres_door.heal()
        self.postgres.thaw()
        if not self.postgres.is_up:
            self.postgres.start()
        if self._object_store is not None:
            self._object_store.thaw()
            if not self._object_store.is_up:
                self._object_store.start()
