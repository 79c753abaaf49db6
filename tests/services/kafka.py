"""The Kafka broker of the tests. ``python -m tests.services.kafka`` starts one for development and keeps it."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
import uuid
from collections.abc import Callable
from typing import Any, Literal

import pytest

from flowise_telemetry_transport import EmbeddedBroker, KafkaSettings, TopicSpec, open_admin, parse_bootstrap_servers
from tests.services.docker_engine import quiet_testcontainers, require_image, started
from tests.services.kafka_java import JavaKafka
from tests.services.ladder import (
    NoServiceError,
    Rung,
    RungUnavailableError,
    climb,
    docker_is_required,
    require_permission,
)

__all__ = ["IMAGE", "KafkaService", "kafka_at", "start_embedded", "start_kafka"]

IMAGE = "apache/kafka:4.1.0"

Kind = Literal["given", "testcontainers", "java", "embedded"]


class KafkaService:
    """A broker, and names on it that no other test has."""

    def __init__(
        self, kind: Kind, description: str, servers: tuple[str, ...], stop: Callable[[], None] = lambda: None
    ) -> None:
        self.kind: Kind = kind
        self.description = description
        self.used_by: set[str] = set()
        self.stop = stop
        self._servers = servers
        self._names = itertools.count()

    @property
    def address(self) -> dict[str, Any]:
        """What ``kafka_at`` finds it by in another process."""
        return {"kind": self.kind, "description": self.description, "servers": self._servers}

    @property
    def is_real(self) -> bool:
        """Whether it is a real Kafka and not librdkafka's mock cluster."""
        return self.kind != "embedded"

    @property
    def bootstrap_servers(self) -> tuple[str, ...]:
        """``("host:port", …)``."""
        self.used_by.add(os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0])
        return self._servers

    def settings(self, **changes: Any) -> KafkaSettings:
        """Settings for this broker with timeouts fit for tests."""
        chosen = {"session_timeout_seconds": 10.0, "request_timeout_seconds": 15.0, **changes}
        return KafkaSettings(bootstrap_servers=self.bootstrap_servers, **chosen)

    def new_topic(self, *, partitions: int = 4, **configs: str) -> str:
        """A topic that is there and empty; ``max_message_bytes="…"`` and the like are its own settings.

        The embedded broker has topics of four partitions without settings: for anything else the test is skipped there.
        """
        name = f"test-{uuid.uuid4().hex[:12]}-{next(self._names)}"
        if self.kind == "embedded":
            if partitions != EmbeddedBroker.partitions_per_topic or configs:
                pytest.skip("the embedded broker makes topics of four partitions without settings only")
            from confluent_kafka import Consumer

            touched = Consumer({
                "bootstrap.servers": ",".join(self._servers), "group.id": "touch", "allow.auto.create.topics": True
            })  # fmt: skip
            touched.list_topics(name, timeout=10)
            touched.close()
            return name
        admin = open_admin(self.settings())
        try:
            settings = tuple((setting.replace("_", "."), value) for setting, value in configs.items())
            admin.create_topic(TopicSpec(name, partitions=partitions, configs=settings))
        finally:
            admin.close()
        return name

    def new_group(self) -> str:
        """The name of a consumer group that no one is in."""
        return f"group-{uuid.uuid4().hex[:12]}"


def _given() -> KafkaService:
    text = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "")
    if not text:
        raise RungUnavailableError("KAFKA_BOOTSTRAP_SERVERS is not set")
    servers = parse_bootstrap_servers(text, source="KAFKA_BOOTSTRAP_SERVERS")
    return KafkaService("given", f"given {','.join(servers)}", servers)


def _testcontainers() -> KafkaService:
    require_image(IMAGE)
    with quiet_testcontainers():
        from tests.services.kafka_container import KafkaContainer

        container = KafkaContainer(IMAGE)
        server, stop = started(container, container.get_bootstrap_server)

    return KafkaService("testcontainers", f"testcontainers {IMAGE}", (server,), stop)


def _java() -> KafkaService:
    broker = JavaKafka().start()
    return KafkaService("java", "plain Java process, Kafka 4.1.0", (broker.bootstrap_server,), broker.stop)


def start_embedded() -> KafkaService:
    """Start librdkafka's mock cluster in this process."""
    import confluent_kafka

    broker = EmbeddedBroker().start()
    version = confluent_kafka.libversion()[0]
    return KafkaService("embedded", f"embedded, librdkafka {version}", broker.bootstrap_servers, broker.stop)


def start_kafka() -> tuple[KafkaService, list[str]]:
    """The first broker that this machine can give, and why those before it could not be had."""
    require_permission("a Kafka broker")
    rungs = [
        Rung("given", _given),
        Rung("testcontainers", _testcontainers),
        Rung("java", _java),
        Rung("embedded", start_embedded),
    ]
    return climb("Kafka broker", rungs, required="testcontainers" if docker_is_required() else None)


def kafka_at(address: dict[str, Any]) -> KafkaService:
    """Return the broker that another process started; where that was an embedded one, one of this process's own."""
    if address["kind"] == "embedded":
        return start_embedded()
    return KafkaService(address["kind"], address["description"], tuple(address["servers"]))


def main() -> int:
    """Starts a broker, prints its address and keeps it until Ctrl-C or SIGTERM."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        kafka, passed_over = start_kafka()
    except NoServiceError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    try:
        for reason in passed_over:
            sys.stderr.write(f"not {reason}\n")
        sys.stderr.write(f"Kafka broker: {kafka.description}; Ctrl-C ends it\n")
        sys.stdout.write(",".join(kafka.bootstrap_servers) + "\n")
        sys.stdout.flush()
        ended.wait()
    finally:
        kafka.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
