"""What each role does, through the commands and the ports that do it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flowise_telemetry_consumer import Consumer, ConsumerSettings, open_dead_letter_writer
from flowise_telemetry_schemas import Catalog, TelemetryError, catalog
from flowise_telemetry_transport import KafkaSettings, OutgoingRecord, TopicSpec, open_admin, open_reader, open_writer
from flowise_telemetry_transport.types import TopicPartition
from tests.cli.in_process import run_command
from tests.consumer.sinks.roles import open_claimed
from tests.consumer.world import event_id, value_of
from tests.services.kafka_secure import PASSWORDS, SecureKafka

__all__ = ["ROLES", "Place", "Role"]

Right = tuple[str, str, str]
_SECONDS = 25.0


@dataclass(frozen=True, slots=True)
class Place:
    """A topic with two records, one of them bad, its dead-letter topic, and a group: names that nobody else has."""

    kafka: SecureKafka
    folder: Path
    client: str
    topic: str
    group: str

    @property
    def dlq(self) -> str:
        return f"{self.topic}.dlq"

    def settings(self, user: str = "app") -> KafkaSettings:
        return self.kafka.login(user, self.client)  # type: ignore[arg-type]  # one of them

    def fill(self) -> None:
        settings = self.kafka.settings(self.client)  # type: ignore[arg-type]  # one of them
        admin = open_admin(settings)
        for name in (self.topic, self.dlq):
            admin.create_topic(TopicSpec(name, 1))
        admin.close()
        self.send(settings, self.topic, value_of(1), b"bad")

    def file_letters(self) -> None:
        """A service of an older release, which may do all, has filed events that are known by now."""
        settings = self.kafka.settings(self.client)  # type: ignore[arg-type]  # one of them
        self.send(settings, self.topic, *map(value_of, range(8)))
        older = Catalog(tuple(schema for schema in catalog() if schema.event != "tool_created"))
        consume(self, settings, older, 10)

    def send(self, settings: KafkaSettings, topic: str, *values: bytes) -> None:
        """Raises what the broker refuses a record with."""
        writer = open_writer(settings, delivery_timeout_seconds=8.0, block_seconds=5.0)
        refused: list[TelemetryError] = []
        try:
            for number, value in enumerate(values):
                writer.send(
                    OutgoingRecord(topic, event_id(number).encode(), value),
                    lambda _, error: refused.append(error) if error is not None else None,
                )
            left = writer.flush(timeout_seconds=10)
        finally:
            writer.close(timeout_seconds=1)
        for error in refused:
            raise error
        assert not left

    def run(self, *arguments: str) -> None:
        """Run a command as this user; raises what it says if it fails."""
        environ = {
            "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": self.kafka.server_of("SASL_SSL"),
            "FLOWISE_TELEMETRY_CLIENT": self.client,
            "FLOWISE_TELEMETRY_TOPIC": self.topic,
            "FLOWISE_TELEMETRY_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "FLOWISE_TELEMETRY_KAFKA_SASL_MECHANISM": "PLAIN",
            "FLOWISE_TELEMETRY_KAFKA_SASL_USERNAME": "app",
            "FLOWISE_TELEMETRY_KAFKA_SASL_PASSWORD": PASSWORDS["app"],
            "FLOWISE_TELEMETRY_KAFKA_SSL_CAFILE": str(self.kafka.authority.file),
        }
        done = run_command(*arguments, folder=self.folder, env=environ)
        if done.status != 0:
            raise TelemetryError(f"{done.status}: {done.stderr}")


def _send(place: Place) -> None:
    place.send(place.settings(), place.topic, value_of(2))


def _consume(place: Place) -> None:
    consume(place, place.settings(), catalog(), 2)


def consume(place: Place, settings: KafkaSettings, known: Catalog, records: int) -> None:
    """Consume so many records as the place's group; raises if they are not committed within some seconds."""
    sink = open_claimed(f"sqlite:///{place.folder}/{place.group}.db")
    reader = open_reader(settings, group=place.group)
    writer = open_dead_letter_writer(settings)
    stop = threading.Event()
    ended = threading.Timer(_SECONDS, stop.set)
    ended.start()
    try:
        for topic in (place.topic, place.dlq):
            reader.partitions_of(topic)
        consumer = Consumer(
            reader,
            sink,
            writer,
            known,
            ConsumerSettings(topic=place.topic, group=place.group),
            on_change=lambda counters: stop.set() if counters.consumed == records and counters.commits else None,
        )
        consumer.run(stop)
        committed = reader.committed([TopicPartition(place.topic, 0)])
        if list(committed.values()) != [records]:
            raise TelemetryError(f"committed {committed}: {consumer.counters.outage}")
    finally:
        ended.cancel()
        writer.close(timeout_seconds=1)
        reader.close(timeout_seconds=5)
        sink.close()


def _replay(place: Place) -> None:
    place.run("replay", "--sink", f"sqlite:///{place.topic}.db")


def _list(place: Place) -> None:
    place.run("dlq", "list")


def _redrive(place: Place) -> None:
    place.run(
        "dlq",
        "redrive",
        "--sink",
        "jsonl:///events.jsonl",
        "--new-sink",
        "--group",
        place.group,
        "--reason",
        "unknown_fingerprint",
    )


def _create(place: Place) -> None:
    place.run("topics", "create")


@dataclass(frozen=True, slots=True)
class Role:
    """The rights of a role, with ``topic``, ``dlq`` and ``group`` for names, and what it does with them."""

    rights: tuple[Right, ...]
    act: Callable[[Place], None]
    fills: bool = True
    letters: bool = False

    def of(self, place: Place) -> list[Right]:
        names = {"topic": place.topic, "dlq": place.dlq, "group": place.group}
        return [(kind, names[name], operation) for kind, name, operation in self.rights]


ROLES = {
    "app": Role((("topic", "topic", "write"),), _send),
    "consumer": Role((("topic", "topic", "read"), ("group", "group", "read"), ("topic", "dlq", "write")), _consume),
    "replay": Role((("topic", "topic", "read"),), _replay),
    "dlq list": Role((("topic", "dlq", "read"),), _list, letters=True),
    "dlq redrive": Role((("topic", "dlq", "read"), ("topic", "dlq", "write")), _redrive, letters=True),
    "topics create": Role(
        tuple(("topic", name, operation) for name in ("topic", "dlq") for operation in ("create", "describe")),
        _create,
        fills=False,
    ),
}
