"""Checkpoints: the replays whose progress a sink keeps, how far each is, and which can be resumed."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Self, TypedDict

from flowise_telemetry_consumer.errors import UnknownRunError
from flowise_telemetry_consumer.reading.offset_range import MissingOffsets, OffsetRange
from flowise_telemetry_consumer.replay import stored_json
from flowise_telemetry_consumer.replay.report import merged_ranges
from flowise_telemetry_consumer.replay.request import ReplayRequest, Shard, StoredRequest
from flowise_telemetry_consumer.replay.resolved_range import ResolvedRange
from flowise_telemetry_consumer.sinks.port import KeepsProgress, Sink, SourceProgress
from flowise_telemetry_schemas import ConfigurationError
from flowise_telemetry_transport.types import TopicPartition

__all__ = [
    "ReplayCheckpoint",
    "find_run",
    "keep_missing",
    "latest_of",
    "latest_run",
    "list_runs",
    "lock_name_of",
    "require_own_request",
]

_KEEP_TRIES = 5
_SOURCE = re.compile(r"(replay/([0-9a-f]{12})(?:/(\d+)-of-(\d+))?)/(\d+)")


class _StoredRemainder(TypedDict, total=False):
    """What a description has only where there is some."""

    held_back: dict[str, tuple[int, int]]
    refused: dict[str, list[tuple[int, int]]]


class _StoredRun(_StoredRemainder):
    """The description of a run, kept in the sink beside its offsets. Partitions are strings, as JSON keys."""

    replay: StoredRequest
    sink: str
    topic_id: str | None
    range: dict[str, tuple[int, int]]
    missing: dict[str, list[tuple[int, int]]]
    started_at_ms: int


@dataclass(frozen=True, slots=True)
class ReplayCheckpoint:
    """One replay as the sink keeps it.

    ``attempt`` numbers the runs of the same request from 1: a finished or restarted run is followed by another.
    ``positions`` are the next offsets of the partitions of which something was written.
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
        """Name the lock of the run, which all attempts of this request and shard share."""
        return lock_name_of(self.id, self.shard)

    @property
    def source(self) -> str:
        """Name the source under which the sink keeps the run's progress."""
        return f"{self.lock_name}/{self.attempt}"

    @property
    def offsets(self) -> OffsetRange:
        """Return all the offsets of the run, those already written included."""
        return self.resolved.offsets

    @property
    def finished(self) -> bool:
        """Return whether every partition was written to its end."""
        return all(self.position(tp) >= end for tp, end in self.offsets.ends.items())

    @property
    def offsets_read(self) -> int:
        """Count the offsets that were read and written."""
        return sum(self.position(tp) - start for tp, start in self.offsets.starts.items())

    def position(self, tp: TopicPartition) -> int:
        """Return the next offset of a partition."""
        return max(self.offsets.starts[tp], self.positions.get(tp, 0))

    def description(self) -> str:
        """Return the JSON that the sink keeps of the run beside its offsets."""
        offsets = self.offsets
        stored: _StoredRun = {
            "replay": self.request.to_stored(),
            "sink": self.sink_url,
            "topic_id": self.resolved.topic_id,
            "range": {str(tp.partition): (start, offsets.ends[tp]) for tp, start in offsets.starts.items()},
            "missing": {str(tp.partition): list(ranges) for tp, ranges in self.resolved.missing.items()},
            "started_at_ms": self.started_at_ms,
        }
        if self.resolved.held_back:
            stored["held_back"] = {str(tp.partition): pair for tp, pair in self.resolved.held_back.items()}
        if self.resolved.refused:
            stored["refused"] = {str(tp.partition): list(ranges) for tp, ranges in self.resolved.refused.items()}
        return json.dumps(stored_json.to_json(stored, _StoredRun), sort_keys=True)

    @classmethod
    def from_progress(cls, progress: SourceProgress) -> Self | None:
        """Return the run that a source describes; None for other sources, such as a consumer group."""
        named = _SOURCE.fullmatch(progress.source)
        if named is None:
            return None
        try:
            stored = stored_json.from_json(json.loads(progress.description), _StoredRun)
            request = ReplayRequest.from_stored(stored["replay"])
            return cls(
                id=named[2],
                attempt=int(named[5]),
                sink_url=stored["sink"],
                request=request,
                resolved=_resolved(request.topic, stored),
                started_at_ms=stored["started_at_ms"],
                shard=None if named[3] is None else Shard(int(named[3]), int(named[4])),
                positions=dict(progress.next_offsets),
                updated_at_ms=progress.updated_at_ms,
            )
        except (ValueError, ConfigurationError):
            return None


def _resolved(topic: str, stored: _StoredRun) -> ResolvedRange:
    ranges = {TopicPartition(topic, int(number)): pair for number, pair in stored["range"].items()}
    return ResolvedRange(
        OffsetRange(
            topic, {tp: start for tp, (start, _) in ranges.items()}, {tp: end for tp, (_, end) in ranges.items()}
        ),
        {TopicPartition(topic, int(number)): pairs for number, pairs in stored["missing"].items()},
        stored["topic_id"],
        {TopicPartition(topic, int(number)): pair for number, pair in stored.get("held_back", {}).items()},
        {TopicPartition(topic, int(number)): pairs for number, pairs in stored.get("refused", {}).items()},
    )


def list_runs(sink: Sink) -> list[ReplayCheckpoint]:
    """Return the replays that ever began in a sink, the latest last; none where it keeps no progress."""
    if not isinstance(sink, KeepsProgress):
        return []
    runs = [run for progress in sink.progress() if (run := ReplayCheckpoint.from_progress(progress)) is not None]
    return sorted(runs, key=lambda run: (run.started_at_ms, run.source))


def latest_run(sink: Sink, run_id: str, shard: Shard | None = None) -> ReplayCheckpoint | None:
    """Return the latest run of an id, or None. Raises ``UnknownRunError`` if it belongs to another request."""
    latest = latest_of(sink, lock_name_of(run_id, shard))
    if latest is not None:
        require_own_request(sink, latest)
    return latest


def latest_of(sink: Sink, lock_name: str) -> ReplayCheckpoint | None:
    """Return the latest run that has this lock, or None. Its request is not checked."""
    return max(
        (run for run in list_runs(sink) if run.lock_name == lock_name), key=lambda run: run.attempt, default=None
    )


def find_run(sink: Sink, run_id: str, shard: Shard | None = None) -> ReplayCheckpoint:
    """Return the latest run of an id, or of one of its shards. Raises ``UnknownRunError`` that lists the known ones."""
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
        named = ", ".join(f"{shard.number}/{shard.of}" for shard in shards)
        raise UnknownRunError(
            f"{sink.url}: replay {run_id} is divided into shards, name one; there are: {named}", argument="shard"
        )
    known = list(dict.fromkeys(there.id for there in runs))
    if run_id in known:
        raise UnknownRunError(f"{sink.url}: replay {run_id} is not divided into shards: name none", argument="shard")
    there = f"there are: {', '.join(known)}" if known else "no replay ever began there"
    raise UnknownRunError(f"{sink.url} has no replay {run_id}: {there}")


def keep_missing(
    sink: Sink,
    run: ReplayCheckpoint,
    partitions: Collection[TopicPartition],
    missing: MissingOffsets,
    refused: MissingOffsets | None = None,
) -> None:
    """Add offsets that retention removed to the stored description of a run, by a claim of ``partitions``.

    ``refused`` replaces what the sink is known to have refused of these partitions.
    Does nothing if they are stored already, or the sink keeps no progress. Several workers of one run may do this at
    once, and the last claim's description replaces the others, so each reads it back and tries again.
    """
    if not isinstance(sink, KeepsProgress):
        return
    for _ in range(_KEEP_TRIES):
        kept = next((there for there in list_runs(sink) if there.source == run.source), None)
        if kept is None:
            return
        before = _both(kept.resolved.missing, {}), _both(kept.resolved.refused, {})
        others = {tp: ranges for tp, ranges in before[1].items() if refused is None or tp not in partitions}
        whole = _both(before[0], missing), _both(others, refused or {})
        if whole == before:
            return
        resolved = dataclasses.replace(run.resolved, missing=whole[0], refused=whole[1])
        described = dataclasses.replace(run, resolved=resolved)
        sink.claim(run.source, partitions, description=described.description())


def _both(some: MissingOffsets, more: MissingOffsets) -> dict[TopicPartition, list[tuple[int, int]]]:
    return {tp: merged_ranges([*some.get(tp, ()), *more.get(tp, ())]) for tp in sorted({*some, *more})}


def lock_name_of(run_id: str, shard: Shard | None) -> str:
    """Name the lock of a run and its shard."""
    return f"replay/{run_id}" if shard is None else f"replay/{run_id}/{shard}"


def require_own_request(sink: Sink, run: ReplayCheckpoint) -> None:
    """Raise ``UnknownRunError`` if the id is not the request's hash: the progress table was edited or copied."""
    own_id = run.request.run_id(run.sink_url)
    if own_id != run.id:
        raise UnknownRunError(
            f"{sink.url}: the progress under replay {run.id} is that of another request ({own_id}): restart it",
            argument="restart",
        )
