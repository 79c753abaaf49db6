"""The backends of the contract suite: a client with a broker, or the in-memory broker, behind the same few calls."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Protocol

import pytest

from flowise_telemetry_transport import (
    ClientName,
    Delivery,
    InMemoryBroker,
    OutgoingRecord,
    Record,
    RecordReader,
    RecordWriter,
    TopicAdmin,
    TopicPartition,
    TopicSpec,
    TransportError,
    open_admin,
    open_reader,
    open_writer,
)
from flowise_telemetry_transport.gateway import open_gateway_writer
from flowise_telemetry_transport.gateway.settings import GatewaySettings
from tests.services.kafka import KafkaService
from tests.transport.gateway.server import KEY, GatewayServer, serving

__all__ = [
    "BACKENDS",
    "COOPERATIVE_BACKENDS",
    "EMBEDDED_BACKENDS",
    "GROUP_BACKENDS",
    "WRITING_BACKENDS",
    "Backend",
    "ClusterBackend",
    "GatewayBackend",
    "InFlight",
    "MemoryBackend",
    "read",
    "settle",
    "until",
    "write",
]

PATIENCE_SECONDS = 30.0

# What writes and cannot read: its tests read by what is behind it.
WRITING_BACKENDS = ("gateway",)
BACKENDS = ("kafka-python ladder", "librdkafka ladder", "kafka-python embedded", "librdkafka embedded", "memory")
EMBEDDED_BACKENDS = ("kafka-python embedded", "librdkafka embedded")
# No promise needs groups on librdkafka's mock cluster, where a rebalance takes seconds and some requests are refused:
# test_embedded.py has one case for each client.
GROUP_BACKENDS = (
    pytest.param("kafka-python ladder", marks=pytest.mark.real_broker),
    pytest.param("librdkafka ladder", marks=pytest.mark.real_broker),
    "memory",
)
# Each test takes some seconds of waiting for the brokers.
COOPERATIVE_BACKENDS = (
    pytest.param("librdkafka ladder cooperative", marks=pytest.mark.real_broker),
    pytest.param("librdkafka ladder consumer", marks=pytest.mark.real_broker),
)
# KIP-429 and KIP-848.
_PROTOCOLS = {
    "": {},
    "cooperative": {"partition_assignment_strategy": "cooperative-sticky"},
    "consumer": {"group_protocol": "consumer"},
}


class Backend(Protocol):
    """Opens readers, writers and admins for a test and closes them after it."""

    @property
    def keeps_null_headers(self) -> bool: ...
    @property
    def is_eager(self) -> bool: ...
    @property
    def creates_topics(self) -> bool: ...
    def reader(self, group: str | None = None) -> RecordReader: ...
    def writer(self, **options: Any) -> RecordWriter: ...
    def admin(self) -> TopicAdmin: ...
    def new_topic(self, **configs: str) -> str: ...
    def new_group(self) -> str: ...
    def close(self) -> None: ...


@dataclass
class ClusterBackend:
    client: ClientName
    service: KafkaService
    protocol: str = ""
    opened: list[Callable[[], None]] = field(default_factory=list)

    @property
    def keeps_null_headers(self) -> bool:
        return self.client == "librdkafka"

    @property
    def is_eager(self) -> bool:
        return not self.protocol

    @property
    def creates_topics(self) -> bool:
        return self.service.is_real

    def reader(self, group: str | None = None) -> RecordReader:
        options = _PROTOCOLS[self.protocol]
        reader = open_reader(self.service.settings(client=self.client, options=options), group=group)
        self.opened.append(lambda: reader.close(timeout_seconds=5))
        return reader

    def writer(self, **options: Any) -> RecordWriter:
        writer = open_writer(self.service.settings(client=self.client), **options)
        self.opened.append(lambda: writer.close(timeout_seconds=5))
        return writer

    def admin(self) -> TopicAdmin:
        # The embedded broker never answers CreateTopics: for librdkafka it has no controller.
        timeouts = {} if self.service.is_real else {"request_timeout_seconds": 5.0, "session_timeout_seconds": 4.0}
        admin = open_admin(self.service.settings(client=self.client, **timeouts))
        self.opened.append(admin.close)
        return admin

    def new_topic(self, **configs: str) -> str:
        if not configs:
            return self.service.new_topic(partitions=4)
        # With the client under test, so that the embedded broker's refusal is its answer and not our skip.
        name = self.new_group().replace("group", "settings")
        settings = tuple((setting.replace("_", "."), value) for setting, value in configs.items())
        self.admin().create_topic(TopicSpec(name, configs=settings))
        return name

    def new_group(self) -> str:
        return self.service.new_group()

    def close(self) -> None:
        while self.opened:
            self.opened.pop()()


@dataclass
class MemoryBackend:
    broker: InMemoryBroker = field(default_factory=lambda: InMemoryBroker(default_partitions=None))
    names: Any = field(default_factory=itertools.count)
    keeps_null_headers: bool = True
    is_eager: bool = True
    creates_topics: bool = True

    def reader(self, group: str | None = None) -> RecordReader:
        return self.broker.open_reader(group=group)

    def writer(self, **options: Any) -> RecordWriter:
        return self.broker.open_writer(**options)

    def admin(self) -> TopicAdmin:
        return self.broker.open_admin()

    def new_topic(self, **configs: str) -> str:
        name = f"topic-{next(self.names)}"
        settings = tuple((setting.replace("_", "."), value) for setting, value in configs.items())
        self.admin().create_topic(TopicSpec(name, configs=settings))
        return name

    def new_group(self) -> str:
        return f"group-{next(self.names)}"

    def close(self) -> None:
        pass


class GatewayBackend(MemoryBackend):
    """The gateway's client with a gateway in front of the in-memory broker; the topic is the latest that was made."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self._gateway = self._stack.enter_context(serving(GatewayServer(broker=self.broker)))

    def writer(self, **options: Any) -> RecordWriter:
        settings = GatewaySettings(endpoint=self._gateway.url, project_key=KEY)
        writer = open_gateway_writer(settings, **options)
        self._stack.callback(writer.close, timeout_seconds=5)
        return writer

    def new_topic(self, **configs: str) -> str:
        self._gateway.topic = super().new_topic(**configs)
        return self._gateway.topic

    def close(self) -> None:
        self._stack.close()


@dataclass
class InFlight:
    """Collects the arguments of ``on_delivery``."""

    accepted: list[Delivery] = field(default_factory=list)
    failed: list[TransportError] = field(default_factory=list)

    def __call__(self, delivery: Delivery | None, error: TransportError | None) -> None:
        if error is not None:
            self.failed.append(error)
        elif delivery is not None:
            self.accepted.append(delivery)


def write(backend: Backend, records: Iterable[OutgoingRecord]) -> list[Delivery]:
    """Write all records; return their places in the order of the callbacks."""
    writer, deliveries = backend.writer(), InFlight()
    for record in records:
        writer.send(record, deliveries)
    assert writer.flush(timeout_seconds=PATIENCE_SECONDS) == 0
    assert deliveries.failed == []
    return deliveries.accepted


def until(done: Callable[[], bool], *readers: RecordReader) -> list[Record]:
    """Poll the readers in turn until ``done``; return all their records."""
    records: list[Record] = []
    end = time.monotonic() + PATIENCE_SECONDS
    while not done():
        assert time.monotonic() < end, "not done in time"
        for reader in readers:
            records += reader.poll(timeout_seconds=0.1, max_records=100)
    return records


def read(*readers: RecordReader, count: int, max_records: int = 100) -> list[Record]:
    """Poll the readers in turn until there are ``count`` records; return them."""
    records: list[Record] = []
    end = time.monotonic() + PATIENCE_SECONDS
    while len(records) < count:
        assert time.monotonic() < end, f"{len(records)} of {count} records in time"
        for reader in readers:
            records += reader.poll(timeout_seconds=0.2, max_records=max_records)
    return records


def settle(*readers: RecordReader, partitions: int = 4) -> list[Record]:
    """Poll until all partitions are assigned among these readers; return the records read by then."""

    def settled() -> bool:
        held: list[TopicPartition] = [tp for reader in readers for tp in reader.assignment()]
        return len(held) == len(set(held)) == partitions and all(reader.assignment() for reader in readers)

    return until(settled, *readers)
