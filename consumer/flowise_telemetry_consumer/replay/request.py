"""What a replay is asked for, and the id that the same wish always has."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from flowise_telemetry_consumer.replay.bounds import Bound, require_order
from flowise_telemetry_consumer.replay.filters import RecordFilter
from flowise_telemetry_schemas import ConfigurationError
from flowise_telemetry_transport.topics import EVENTS_TOPIC
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["ReplayRequest", "Shard"]

_ID_CHARACTERS = 12


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several processes that divide the partitions of a replay among themselves; ``number`` counts from 1."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """A shard as given, ``2/4``. Raises ``ConfigurationError``."""
        number, slash, of = text.partition("/")
        if not (slash and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of) <= 10_000):
            raise ConfigurationError(f"--shard {text!r}: give number/count, from 1/4 to 4/4")
        return cls(int(number), int(of))

    def share_of(self, partitions: Sequence[TopicPartition]) -> tuple[TopicPartition, ...]:
        """Its partitions: every ``of``-th."""
        return tuple(sorted(partitions)[self.number - 1 :: self.of])

    def __str__(self) -> str:
        return f"{self.number}-of-{self.of}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRequest:
    """What is replayed: the records of ``topic`` from ``begin`` to before ``end``, of these ``partitions``, that
    ``record_filter`` takes. Left out: all that there is when the replay starts.

    Raises ``ConfigurationError`` for a range that is empty or reversed. The times of the filter are those of the
    bounds.
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
            from_ms=None if self.begin is None else self.begin.time_ms,
            to_ms=None if self.end is None else self.end.time_ms,
        )
        object.__setattr__(self, "record_filter", timed)

    def run_id(self, sink_url: str) -> str:
        """The id of a replay with these arguments into this sink, whose password the URL does not show."""
        asked = self.to_json()
        # As they were said: "2d ago" is the same argument when a killed replay is started again.
        for name in ("from", "to"):
            asked[name] = None if asked[name] is None else asked[name]["text"]
        canonical = json.dumps([asked, sink_url], sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:_ID_CHARACTERS]

    def to_json(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {
            "topic": self.topic,
            "from": None if self.begin is None else dataclasses.asdict(self.begin),
            "to": None if self.end is None else dataclasses.asdict(self.end),
            "partitions": list(self.partitions),
            "events": list(self.record_filter.events),
            "where": {name: list(values) for name, values in self.record_filter.where},
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The arguments out of ``document``. Raises ``KeyError``, ``TypeError`` or ``ValueError`` for another thing."""
        return cls(
            topic=document["topic"],
            begin=None if document["from"] is None else Bound(**document["from"]),
            end=None if document["to"] is None else Bound(**document["to"]),
            partitions=tuple(document["partitions"]),
            record_filter=RecordFilter(
                events=tuple(document["events"]),
                where=tuple((name, tuple(values)) for name, values in document["where"].items()),
            ),
        )
