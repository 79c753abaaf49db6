"""Questions to a broker that change nothing (https://kafka.apache.org/protocol, non-flexible versions).

With the rights that the broker itself counts for this login (KIP-430), so that none has to be tried.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from flowise_telemetry_transport.diagnosis.wire import Reader, Wire, array_of, string_of

__all__ = [
    "NOT_PERMITTED",
    "GroupState",
    "TopicState",
    "broker_release",
    "coordinator",
    "group",
    "has_later",
    "settings_of",
    "topic",
]

_LIST_OFFSETS, _METADATA, _FIND_COORDINATOR, _DESCRIBE_GROUPS, _API_VERSIONS, _DESCRIBE_CONFIGS = 2, 3, 10, 15, 18, 32
_TOPIC_RESOURCE = 2
_NOT_TOLD = -(2**31)
_OPERATIONS = {"Read": 3, "Write": 4, "Describe": 8, "DescribeConfigs": 10}  # AclOperation of the protocol
_MISSING = 3  # UNKNOWN_TOPIC_OR_PARTITION
NOT_PERMITTED = (29, 30, 31)
"""TOPIC_, GROUP_ and CLUSTER_AUTHORIZATION_FAILED."""

# The level of metadata.version that a release begins with (org.apache.kafka.server.common.MetadataVersion).
_RELEASES = (
    *((1, "3.0"), (2, "3.1"), (3, "3.2"), (4, "3.3"), (8, "3.4"), (9, "3.5"), (12, "3.6"), (15, "3.7")),
    *((20, "3.8"), (21, "3.9"), (22, "4.0"), (26, "4.1"), (28, "4.2")),
)


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as a broker sees it. ``rights`` is None where the broker does not tell them (before Kafka 2.3)."""

    code: int
    partitions: int
    without_leader: int
    replicas: int
    in_sync: int
    """The lowest number of replicas in sync, of any partition."""
    rights: frozenset[str] | None

    @property
    def is_missing(self) -> bool:
        """True if there is no such topic."""
        return self.code == _MISSING


@dataclass(frozen=True, slots=True)
class GroupState:
    """A consumer group as its coordinator sees it; ``state`` is ``Dead`` for one that was never there."""

    code: int
    state: str
    members: int
    rights: frozenset[str] | None


def topic(wire: Wire, name: str) -> TopicState:
    """Return a topic's state; one that is not there is not made. Takes Metadata of version 4 at least (Kafka 0.11)."""
    version = 8 if wire.takes(_METADATA, 8) else 4
    # Not created; without the rights on the cluster, with those on the topic.
    flags = struct.pack(">bbb", 0, 0, 1) if version == 8 else b"\0"
    answer = wire.ask(_METADATA, version, array_of([string_of(name)]) + flags)
    answer.int32()  # throttled
    for _ in range(answer.int32()):
        answer.int32(), answer.string(), answer.int32(), answer.string()
    answer.string(), answer.int32()  # cluster's id, controller
    if answer.int32() != 1:
        return TopicState(_MISSING, 0, 0, 0, 0, None)
    code = answer.int16()
    answer.string(), answer.int8()
    partitions = [_partition(answer, version) for _ in range(answer.int32())]
    return TopicState(
        code,
        partitions=len(partitions),
        without_leader=sum(leader < 0 for leader, _, _ in partitions),
        replicas=min((replicas for _, replicas, _ in partitions), default=0),
        in_sync=min((in_sync for _, _, in_sync in partitions), default=0),
        rights=_rights(answer.int32()) if version == 8 else None,
    )


def _partition(answer: Reader, version: int) -> tuple[int, int, int]:
    answer.int16(), answer.int32()
    leader = answer.int32()
    if version >= 7:
        answer.int32()  # its epoch
    replicas = [answer.int32() for _ in range(answer.int32())]
    in_sync = [answer.int32() for _ in range(answer.int32())]
    if version >= 5:
        for _ in range(answer.int32()):
            answer.int32()
    return leader, len(replicas), len(in_sync)


def settings_of(wire: Wire, name: str) -> Mapping[str, str] | None:
    """Return a topic's settings, the broker's defaults included; None where this login may not see them.

    Empty where the broker does not tell them.
    """
    if not wire.takes(_DESCRIBE_CONFIGS, 1):
        return {}
    resource = struct.pack(">b", _TOPIC_RESOURCE) + string_of(name) + struct.pack(">i", -1)
    answer = wire.ask(_DESCRIBE_CONFIGS, 1, array_of([resource]) + b"\0")
    answer.int32()
    if answer.int32() != 1 or answer.int16() != 0:
        return None
    answer.string(), answer.int8(), answer.string()
    found = {}
    for _ in range(answer.int32()):
        key, value = answer.string(), answer.string()
        answer.take(3)  # read-only, source, sensitive
        for _ in range(answer.int32()):
            answer.string(), answer.string(), answer.int8()
        if key is not None and value is not None:
            found[key] = value
    return found


def coordinator(wire: Wire, name: str) -> tuple[int, str, int]:
    """Return the error code, host and port of a group's coordinator."""
    answer = wire.ask(_FIND_COORDINATOR, 1, string_of(name) + b"\0")
    answer.int32()
    code = answer.int16()
    answer.string(), answer.int32()
    return code, answer.string() or "", answer.int32()


def group(wire: Wire, name: str) -> GroupState:
    """Return a group's state, asked of its coordinator. Nobody joins, and nothing is committed."""
    answer = wire.ask(_DESCRIBE_GROUPS, 3, array_of([string_of(name)]) + b"\1")
    answer.int32(), answer.int32()
    code = answer.int16()
    answer.string()
    state = answer.string() or ""
    answer.string(), answer.string()
    members = answer.int32()
    for _ in range(members):
        answer.string(), answer.string(), answer.string(), answer.bytes(), answer.bytes()
    return GroupState(code, state, members, _rights(answer.int32()))


def has_later(wire: Wire, topic_state: TopicState, name: str, time_ms: int) -> bool | None:
    """Return whether a partition that this broker leads has a record of that time or later; None if that is unknown."""
    if not wire.takes(_LIST_OFFSETS, 1):
        return None
    partitions = [struct.pack(">iq", number, time_ms) for number in range(topic_state.partitions)]
    answer = wire.ask(_LIST_OFFSETS, 1, struct.pack(">i", -1) + array_of([string_of(name) + array_of(partitions)]))
    offsets = []
    for _ in range(answer.int32()):
        answer.string()
        for _ in range(answer.int32()):
            answer.int32()
            code = answer.int16()
            answer.int64()
            offset = answer.int64()
            if code == 0:
                offsets.append(offset)
    return any(offset >= 0 for offset in offsets) if offsets else None


def broker_release(wire: Wire) -> str | None:
    """Return the release of Kafka whose features the cluster has; None where it tells none (before KRaft, others)."""
    if not wire.takes(_API_VERSIONS, 3):
        return None
    answer = wire.ask(_API_VERSIONS, 3, b"\0" + _compact("flowise-telemetry") + _compact("1") + b"\0")
    if answer.int16() != 0:
        return None
    for _ in range(answer.varint() - 1):
        answer.take(6)
        _skip_tags(answer)
    answer.int32()
    level = None
    for _ in range(answer.varint()):
        tag, size = answer.varint(), answer.varint()
        part = Reader(answer.take(size))
        if tag == 2:
            level = _metadata_level(part)
    return next((release for begin, release in reversed(_RELEASES) if level is not None and level >= begin), None)


def _metadata_level(features: Reader) -> int | None:
    for _ in range(features.varint() - 1):
        name = features.take(features.varint() - 1)
        highest, _ = features.int16(), features.int16()
        _skip_tags(features)
        if name == b"metadata.version":
            return highest
    return None


def _skip_tags(answer: Reader) -> None:
    for _ in range(answer.varint()):
        answer.varint()
        answer.take(answer.varint())


def _compact(text: str) -> bytes:
    return bytes([len(text) + 1]) + text.encode()


def _rights(bits: int) -> frozenset[str] | None:
    if bits == _NOT_TOLD:
        return None
    return frozenset(name for name, bit in _OPERATIONS.items() if bits >> bit & 1)
