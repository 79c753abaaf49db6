"""Topics and a group of the ``SmallBroker``: what a diagnosis asks of them, and nothing that could be changed."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["VERSIONS", "SmallTopic", "SmallTopics"]

_BITS = {"Read": 3, "Write": 4, "Describe": 8, "DescribeConfigs": 10}
_GROUPS = "__consumer_offsets"
VERSIONS = ((2, 0, 1), (3, 0, 8), (10, 0, 1), (15, 0, 3), (32, 0, 1))


@dataclass(frozen=True, slots=True)
class SmallTopic:
    """A topic as this login sees it. Without ``settings`` it may not see them; without ``rights``, nothing at all."""

    partitions: int = 4
    replicas: int = 3
    in_sync: int = 3
    leaderless: int = 0
    rights: tuple[str, ...] = ("Read", "Write", "Describe")
    settings: Mapping[str, str] | None = field(
        default_factory=lambda: {
            "min.insync.replicas": "2",
            "retention.ms": "604800000",
            "max.message.bytes": "16777216",
            "cleanup.policy": "delete",
        }
    )


@dataclass(frozen=True, slots=True)
class SmallTopics:
    """All topics by name, and the rights on every group; ``has_groups`` is False for a cluster that never had one.

    ``coordinator_code`` is the error with which a coordinator is not told.
    ``has_later``: records are of later than whatever is asked for.
    """

    topics: Mapping[str, SmallTopic] = field(default_factory=dict)
    group_rights: tuple[str, ...] = ("Read", "Describe")
    has_groups: bool = True
    has_later: bool = False
    coordinator_code: int = 0

    def answer(self, key: int, body: bytes, host: str, port: int) -> bytes:
        """Return the answer to a request of the highest version in ``VERSIONS``, of Metadata since 1."""
        match key:
            case 2:
                return self._offsets(body)
            case 3:
                return self._metadata(body, host, port)
            case 10:
                return struct.pack(">ihhi", 0, self.coordinator_code, -1, 1) + _string(host) + struct.pack(">i", port)
            case 15:
                return self._group(body)
        return self._settings(body)

    def _metadata(self, body: bytes, host: str, port: int) -> bytes:
        head = struct.pack(">iii", 0, 1, 1) + _string(host) + struct.pack(">ihhi", port, -1, -1, 1)
        if struct.unpack(">i", body[:4])[0] < 1:
            return head + struct.pack(">ii", 0, 0)
        name = _text(body[4:])
        topic = self.topics.get(name)
        if name == _GROUPS and self.has_groups:
            topic = SmallTopic()
        code = 3 if topic is None else 0 if topic.rights else 29
        shown = topic if topic is not None and code == 0 else SmallTopic(partitions=0)
        parts = b"".join(
            struct.pack(">hiii", 0, number, -1 if number < shown.leaderless else 1, 0)
            + _ints(shown.replicas)
            + _ints(shown.in_sync)
            + _ints(0)
            for number in range(shown.partitions)
        )
        bits = _bits(shown.rights) if code == 0 else -(2**31)
        found = struct.pack(">h", code) + _string(name) + struct.pack(">bi", 0, shown.partitions) + parts
        return head + struct.pack(">i", 1) + found + struct.pack(">ii", bits, 0)

    def _offsets(self, body: bytes) -> bytes:
        name = _text(body[8:])
        count = self.topics[name].partitions
        offset = 7 if self.has_later else -1
        parts = b"".join(struct.pack(">ihqq", number, 0, -1, offset) for number in range(count))
        return struct.pack(">i", 1) + _string(name) + struct.pack(">i", count) + parts

    def _group(self, body: bytes) -> bytes:
        name = _text(body[4:])
        code = 0 if self.group_rights else 30
        head = struct.pack(">iih", 0, 1, code) + _string(name)
        return (
            head
            + _string("Stable")
            + _string("consumer")
            + _string("range")
            + struct.pack(">ii", 0, _bits(self.group_rights))
        )

    def _settings(self, body: bytes) -> bytes:
        name = _text(body[5:])
        settings = self.topics[name].settings
        head = struct.pack(">iihhb", 0, 1, 29 if settings is None else 0, -1, 2) + _string(name)
        found = settings or {}
        entries = (
            _string(key) + _string(value) + struct.pack(">bbb", 0, 1, 0) + struct.pack(">i", 0)
            for key, value in found.items()
        )
        return head + struct.pack(">i", len(found)) + b"".join(entries)


def _bits(rights: tuple[str, ...]) -> int:
    return sum(1 << _BITS[right] for right in rights)


def _ints(count: int) -> bytes:
    return struct.pack(f">i{count}i", count, *range(count))


def _string(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()


def _text(raw: bytes) -> str:
    (size,) = struct.unpack(">h", raw[:2])
    return raw[2 : 2 + size].decode()
