"""The data that crosses the Kafka port."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from flowise_telemetry_schemas.errors import TelemetryError
from flowise_telemetry_transport.errors import TransportError

__all__ = [
    "Commit",
    "Delivery",
    "ExpiredOffsets",
    "Headers",
    "OnCommitted",
    "OnDelivery",
    "OutgoingRecord",
    "Record",
    "TopicPartition",
    "TopicSpec",
]

Headers = tuple[tuple[str, bytes | None], ...]


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


class Commit(NamedTuple):
    """A group's committed next offset of a partition, and the text that was committed with it."""

    offset: int
    metadata: str = ""


class ExpiredOffsets(NamedTuple):
    """Offsets of a partition, from ``first`` to before ``end``, that retention removed before they were read."""

    partition: TopicPartition
    first: int
    end: int


# These three are not frozen: a frozen dataclass takes a microsecond to create, eight times as long, for every record.
@dataclass(slots=True, unsafe_hash=True)
class Record:
    """A record as read; do not modify it. ``timestamp_ms`` is Kafka's, in milliseconds since 1970 (-1: none)."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    @property
    def topic_partition(self) -> TopicPartition:
        """The partition that it was read from."""
        return TopicPartition(self.topic, self.partition)


@dataclass(slots=True, unsafe_hash=True)
class OutgoingRecord:
    """A record to write; do not modify it. ``partition`` None: by the key's murmur2 hash, as in all Kafka clients."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    timestamp_ms: int | None = None
    partition: int | None = None


@dataclass(slots=True, unsafe_hash=True)
class Delivery:
    """Where an accepted record was stored; do not modify it."""

    topic: str
    partition: int
    offset: int


OnCommitted = Callable[[TelemetryError | None], None]
"""Called once for a commit, with the error if it failed."""

OnDelivery = Callable[[Delivery | None, TransportError | None], None]
"""Called once for each record sent, with its place or with the error. May run on the client's own thread."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic to create. ``configs`` are the topic's own settings, such as ``retention.ms``."""

    name: str
    partitions: int = 4
    replication_factor: int = 1
    configs: tuple[tuple[str, str], ...] = ()
