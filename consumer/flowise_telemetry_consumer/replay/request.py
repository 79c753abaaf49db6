"""The request of a replay: topic, range, filter, and the id that equal requests share."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypedDict

from flowise_telemetry_consumer.replay import stored_json
from flowise_telemetry_consumer.replay.bounds import Bound, require_order
from flowise_telemetry_consumer.replay.filters import RecordFilter
from flowise_telemetry_schemas import ConfigurationError
from flowise_telemetry_transport.topics import EVENTS_TOPIC
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["ReplayRequest", "Shard", "StoredRequest"]

_ID_CHARACTERS = 12

StoredRequest = TypedDict(
    "StoredRequest",
    {
        "topic": str,
        "from": Bound | None,
        "to": Bound | None,
        "partitions": tuple[int, ...],
        "events": tuple[str, ...],
        "where": dict[str, tuple[str, ...]],
    },
)
"""A request in the JSON that a sink keeps. Run ids are hashes of it: a change here changes the id of every request."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several processes that share the partitions of a replay; ``number`` counts from 1."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a shard as given, ``2/4``. Raises ``ConfigurationError``."""
        number, slash, of = text.partition("/")
        if not (slash and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of) <= 10_000):
            raise ConfigurationError(f"{text!r} is not a shard: give number/count, from 1/4 to 4/4", argument="shard")
        return cls(int(number), int(of))

    def share_of(self, partitions: Sequence[TopicPartition]) -> tuple[TopicPartition, ...]:
        """Return this shard's partitions: every ``of``-th."""
        return tuple(sorted(partitions)[self.number - 1 :: self.of])

    def __str__(self) -> str:
        return f"{self.number}-of-{self.of}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRequest:
    """Records to replay: from ``begin`` to before ``end``, in ``partitions`` of ``topic``, through ``record_filter``.

    An omitted part does not restrict: everything in the topic when the replay starts. The filter's times are replaced
    by those of the bounds. Raises ``ConfigurationError`` if the range is empty or reversed.
    """

    topic: str = EVENTS_TOPIC
    begin: Bound | None = None
    end: Bound | None = None
    partitions: tuple[int, ...] = ()
    record_filter: RecordFilter = field(default_factory=RecordFilter)

    def __post_init__(self) -> None:
        require_order(self.begin, self.end)
        object.__setattr__(self, "partitions", tuple(sorted(set(self.partitions))))
        timed = dataclasses.replace(
            self.record_filter,
            from_ms=None if self.begin is None or self.begin.is_beginning else self.begin.time_ms,
            to_ms=None if self.end is None else self.end.time_ms,
        )
        object.__setattr__(self, "record_filter", timed)

    def run_id(self, sink_url: str) -> str:
        """Return the id of a replay of this request into the sink whose ``url``, without password, is ``sink_url``."""
        document = self.to_json()
        # Bounds count as given: "2d ago" is the same request when a killed replay is started again.
        for name, bound in (("from", self.begin), ("to", self.end)):
            document[name] = None if bound is None else bound.text
        canonical = json.dumps([document, sink_url], sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:_ID_CHARACTERS]

    def to_stored(self) -> StoredRequest:
        """Return the request as it is stored."""
        return {
            "topic": self.topic,
            "from": self.begin,
            "to": self.end,
            "partitions": self.partitions,
            "events": self.record_filter.events,
            "where": dict(self.record_filter.where),
        }

    @classmethod
    def from_stored(cls, stored: StoredRequest) -> Self:
        """Return a request that was stored. Raises ``ConfigurationError`` if its range is empty or reversed."""
        return cls(
            topic=stored["topic"],
            begin=stored["from"],
            end=stored["to"],
            partitions=stored["partitions"],
            record_filter=RecordFilter(events=stored["events"], where=tuple(stored["where"].items())),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the stored form as ``json`` can write it."""
        document: dict[str, Any] = stored_json.to_json(self.to_stored(), StoredRequest)
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Return the request that ``to_json`` turned into the document. Raises ``ValueError`` for anything else."""
        return cls.from_stored(stored_json.from_json(document, StoredRequest))
