"""The replays that a sink knows of: how far each is, and whether it may go on."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from flowise_telemetry_consumer.clock import Clock
from flowise_telemetry_consumer.errors import SinkInUseError, TopicChangedError
from flowise_telemetry_consumer.reading.offset_range import MissingOffsets, OffsetRange
from flowise_telemetry_consumer.replay.offsets import ResolvedRange, resolve
from flowise_telemetry_consumer.replay.report import merged_ranges
from flowise_telemetry_consumer.replay.request import ReplayRequest, Shard
from flowise_telemetry_consumer.sinks.port import KeepsProgress, Sink, SourceProgress
from flowise_telemetry_schemas import TelemetryError
from flowise_telemetry_transport.ports import RecordReader
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["ReplayCheckpoint", "UnknownRunError", "find_run", "keep_missing", "latest_run", "list_runs", "open_run"]

_LOCK_WAIT_SECONDS = 3.0
_LOCK_LOOK_SECONDS = 0.2
_KEEP_TRIES = 5
_SOURCE = re.compile(r"(replay/([0-9a-f]{12})(?:/(\d+)-of-(\d+))?)/(\d+)")


class UnknownRunError(TelemetryError):
    """The sink has no replay of that id, or one whose arguments are not those of its id."""


@dataclass(frozen=True, slots=True)
class ReplayCheckpoint:
    """One replay as the sink keeps it.

    ``source`` is the name under which its progress stands: a run that finished and is started anew gets another
    ``number``. ``positions`` are the next offsets of the partitions of which something was written.
    """

    id: str
    attempt: int
    sink_url: str
    request: ReplayRequest
    resolved: ResolvedRange
    started_at_ms: int
    shard: Shard | None = None
    positions: Mapping[TopicPartition, int] = dataclasses.field(default_factory=dict)
    updated_at_ms: int = 0

    @property
    def lock_name(self) -> str:
        """What all runs of these arguments and this shard have in common; also the name of their lock."""
        return _lock_name(self.id, self.shard)

    @property
    def source(self) -> str:
        """The name of its progress in the sink."""
        return f"{self.lock_name}/{self.attempt}"

    @property
    def offsets(self) -> OffsetRange:
        """The offsets that it reads in all."""
        return self.resolved.offsets

    @property
    def finished(self) -> bool:
        """Whether all is written."""
        return all(self.position(tp) >= end for tp, end in self.offsets.ends.items())

    @property
    def offsets_read(self) -> int:
        """How many of its offsets are through."""
        return sum(self.position(tp) - start for tp, start in self.offsets.starts.items())

    def position(self, tp: TopicPartition) -> int:
        """The offset where a partition goes on."""
        return max(self.offsets.starts[tp], self.positions.get(tp, 0))

    def description(self) -> str:
        """What the sink keeps of it beside the offsets."""
        return json.dumps(
            {
                "replay": self.request.to_json(),
                "sink": self.sink_url,
                "topic_id": self.resolved.topic_id,
                "range": {
                    str(tp.partition): [start, self.offsets.ends[tp]]
                    for tp, start in sorted(self.offsets.starts.items())
                },
                "missing": {str(tp.partition): list(ranges) for tp, ranges in self.resolved.missing.items()},
                "started_at_ms": self.started_at_ms,
            },
            sort_keys=True,
        )

    @classmethod
    def of(cls, progress: SourceProgress) -> Self | None:
        """The replay that stands behind a source; None where it is something else, such as a consumer group."""
        named = _SOURCE.fullmatch(progress.source)
        if named is None:
            return None
        try:
            document: dict[str, Any] = json.loads(progress.description)
            request = ReplayRequest.from_json(document["replay"])
            topic = request.topic
            ranges = {TopicPartition(topic, int(number)): pair for number, pair in document["range"].items()}
            return cls(
                id=named[2],
                attempt=int(named[5]),
                sink_url=document["sink"],
                request=request,
                resolved=ResolvedRange(
                    OffsetRange(
                        topic,
                        {tp: int(pair[0]) for tp, pair in ranges.items()},
                        {tp: int(pair[1]) for tp, pair in ranges.items()},
                    ),
                    {
                        TopicPartition(topic, int(number)): [(int(first), int(last)) for first, last in pairs]
                        for number, pairs in document["missing"].items()
                    },
                    document["topic_id"],
                ),
                started_at_ms=int(document["started_at_ms"]),
                shard=None if named[3] is None else Shard(int(named[3]), int(named[4])),
                positions=dict(progress.next_offsets),
                updated_at_ms=progress.updated_at_ms,
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            return None


def list_runs(sink: Sink) -> list[ReplayCheckpoint]:
    """Return the replays that ever began in a sink, the latest last; none where it keeps no progress."""
    if not isinstance(sink, KeepsProgress):
        return []
    runs = [run for progress in sink.progress() if (run := ReplayCheckpoint.of(progress)) is not None]
    return sorted(runs, key=lambda run: (run.started_at_ms, run.source))


def latest_run(sink: Sink, run_id: str, shard: Shard | None = None) -> ReplayCheckpoint | None:
    """The latest run of an id; None where there is none. Raises ``UnknownRunError`` where it is of other arguments."""
    latest = _latest_of(sink, _lock_name(run_id, shard))
    if latest is not None:
        _require_own_arguments(sink, latest)
    return latest


def _latest_of(sink: Sink, lock_name: str) -> ReplayCheckpoint | None:
    return max(
        (run for run in list_runs(sink) if run.lock_name == lock_name), key=lambda run: run.attempt, default=None
    )


def find_run(sink: Sink, run_id: str, shard: Shard | None = None) -> ReplayCheckpoint:
    """The latest run of an id, or of one of its shards. Raises ``UnknownRunError``."""
    run = latest_run(sink, run_id, shard)
    if run is not None:
        return run
    if not isinstance(sink, KeepsProgress):
        raise UnknownRunError(f"{sink.url} keeps no progress, so no replay into it can be resumed: start it again")
    runs = list_runs(sink)
    shards = sorted(
        {there.shard for there in runs if there.id == run_id and there.shard is not None},
        key=lambda shard: (shard.of, shard.number),
    )
    if shards:
        named = ", ".join(f"--shard {shard.number}/{shard.of}" for shard in shards)
        raise UnknownRunError(f"{sink.url}: replay {run_id} is divided, name the shard; there are: {named}")
    known = list(dict.fromkeys(there.id for there in runs))
    if run_id in known:
        raise UnknownRunError(f"{sink.url}: replay {run_id} is not divided: leave --shard out")
    there = f"there are: {', '.join(known)}" if known else "no replay ever began there"
    raise UnknownRunError(f"{sink.url} has no replay {run_id}: {there}")


def keep_missing(
    sink: Sink,
    run: ReplayCheckpoint,
    partitions: Collection[TopicPartition],
    missing: MissingOffsets,
) -> None:
    """Adds offsets that retention removed to what the sink keeps of a run; ``partitions`` are those claimed with it.

    Changes nothing where they are kept already, or the sink keeps no progress. Workers of one run may do this at once,
    and the last one to claim speaks for all: so it is looked at again afterwards.
    """
    if not isinstance(sink, KeepsProgress):
        return
    for _ in range(_KEEP_TRIES):
        kept = next((there for there in list_runs(sink) if there.source == run.source), None)
        if kept is None:
            return
        before = {tp: merged_ranges(ranges) for tp, ranges in kept.resolved.missing.items()}
        whole = {tp: merged_ranges([*before.get(tp, ()), *missing.get(tp, ())]) for tp in sorted({*before, *missing})}
        if whole == before:
            return
        told = dataclasses.replace(run, resolved=dataclasses.replace(run.resolved, missing=whole))
        sink.claim(run.source, partitions, description=told.description())


def open_run(
    reader: RecordReader,
    sink: Sink,
    request: ReplayRequest,
    *,
    clock: Clock,
    shard: Shard | None = None,
    run_id: str | None = None,
    restart: bool = False,
) -> ReplayCheckpoint:
    """The run to go on with: the latest of these arguments if it is unfinished, else a new one; locked until ``close``.

    The sink is prepared. Raises ``SinkInUseError`` where another process still has it after three seconds, and
    ``TopicChangedError`` where the topic is not the one with which the run began.
    """
    run_id = run_id or request.run_id(sink.url)
    lock_name = _lock_name(run_id, shard)
    if isinstance(sink, KeepsProgress):
        _lock(sink, lock_name, clock)
    latest = _latest_of(sink, lock_name)
    if latest is not None and not restart:
        _require_own_arguments(sink, latest)
        if not latest.finished:
            _require_same_topic(reader, latest)
            return latest
    return ReplayCheckpoint(
        id=run_id,
        attempt=1 + (0 if latest is None else latest.attempt),
        sink_url=sink.url,
        request=request,
        resolved=resolve(reader, request, shard),
        started_at_ms=clock.now_ms(),
        shard=shard,
    )


def _lock(sink: KeepsProgress, name: str, clock: Clock) -> None:
    """Takes the lock, and waits for one whose process was just killed: a server needs a moment to notice."""
    deadline = clock.monotonic() + _LOCK_WAIT_SECONDS
    while True:
        try:
            sink.lock(name)
        except SinkInUseError:
            if clock.monotonic() >= deadline:
                raise
            clock.sleep(_LOCK_LOOK_SECONDS)
        else:
            return


def _lock_name(run_id: str, shard: Shard | None) -> str:
    return f"replay/{run_id}" if shard is None else f"replay/{run_id}/{shard}"


def _require_own_arguments(sink: Sink, run: ReplayCheckpoint) -> None:
    """The id is made of the arguments: where it is not, someone has changed the table, or it came from elsewhere."""
    theirs = run.request.run_id(run.sink_url)
    if theirs != run.id:
        raise UnknownRunError(
            f"{sink.url}: the progress of replay {run.id} is of other arguments (those of {theirs}): take --restart"
        )


def _require_same_topic(reader: RecordReader, run: ReplayCheckpoint) -> None:
    topic = run.offsets.topic
    there = set(reader.partitions_of(topic))
    ends = reader.end_offsets(sorted(there & set(run.offsets.ends)))
    known, now = run.resolved.topic_id, reader.topic_id(topic)
    changed: Sequence[str] = [
        *(["its id is another"] if known is not None and now is not None and known != now else []),
        *(f"it has no partition {tp.partition}" for tp in sorted(run.offsets.ends) if tp not in there),
        *(
            f"partition {tp.partition} ends at {end}, before the {run.offsets.ends[tp]} of then"
            for tp, end in sorted(ends.items())
            if end < run.offsets.ends[tp]
        ),
    ]
    if changed:
        raise TopicChangedError(
            f"topic {topic} was deleted and made again since replay {run.id} began ({changed[0]}):"
            " start it with --restart to read what there is now",
            topic=topic,
        )
