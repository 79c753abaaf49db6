"""The claim of newly assigned partitions in the sink, and what the sink lacks of what the group has committed."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from flowise_telemetry_consumer.sinks.port import Batch, KeepsProgress, Sink, SourceProgress
from flowise_telemetry_transport.types import Commit, TopicPartition

__all__ = ["Claimed", "CommitNote", "GroupState", "claim", "sink_id_of"]


@dataclass(frozen=True, slots=True)
class GroupState:
    """What Kafka says of newly assigned partitions: their commits, and the id of the topic if it is available."""

    commits: Mapping[TopicPartition, Commit | None] = field(default_factory=dict)
    topic_id: str | None = None


@dataclass(frozen=True, slots=True)
class CommitNote:
    """The text that goes with a commit: the id of the sink, and the next offset that it had stored by then.

    Offsets are committed that the sink does not know: of dead letters, and of gaps at the end of a partition.
    """

    sink: str
    held: int | None

    def text(self) -> str:
        """Return it as it is committed."""
        return json.dumps({"sink": self.sink, "held": self.held})

    @classmethod
    def of(cls, text: str) -> CommitNote | None:
        """Return the one of a commit; None where another program, or an earlier version, committed."""
        match _object(text):
            case {"sink": str(sink), "held": int() | None as held}:
                return cls(sink, held)
            case _:
                return None


@dataclass(frozen=True, slots=True)
class Claimed:
    """The outcome of a claim.

    ``held``: the next offsets that the sink has stored. ``behind``: those of them that are lower than what it had
    stored when the group last committed (0: it knows nothing of the partition), each with that offset.
    ``other_sink``: the group last committed for a sink of another id. ``new_topic``: partitions whose stored offsets
    were those of a topic that was deleted since.
    """

    sink: str
    held: Mapping[TopicPartition, int]
    behind: Mapping[TopicPartition, tuple[int, int]]
    other_sink: bool
    new_topic: frozenset[TopicPartition]


class ClaimedSink(Sink, KeepsProgress, Protocol):
    """A sink that keeps progress."""


def claim(sink: ClaimedSink, group: str, partitions: Collection[TopicPartition], state: GroupState) -> Claimed:
    """Claim partitions for a consumer group and compare what is stored with what the group committed.

    The id of the sink and of the topic are kept in the description of the group's progress. Where the topic is a new
    one of the same name, stored offsets begin at 0 again. Raises as ``KeepsProgress.claim`` and ``Sink.write``.
    """
    partitions = sorted(partitions)
    kept = next((its for its in sink.progress() if its.source == group), None)
    texts = {} if kept is None else kept.descriptions
    known_id = None if kept is None else sink_id_of(kept)
    sink_id = known_id or uuid.uuid4().hex
    known = {tp: str(_object(texts.get(tp, "")).get("topic_id") or "") for tp in partitions}
    new_topic = frozenset(tp for tp, its in known.items() if its and state.topic_id and its != state.topic_id)
    if new_topic:
        _start_over(sink, group, kept, new_topic)
    stored: dict[TopicPartition, int] = {}
    topic_ids = {tp: state.topic_id or known[tp] for tp in partitions}
    for topic_id in sorted(set(topic_ids.values())):
        description = json.dumps({"sink": sink_id, "topic_id": topic_id or None})
        stored |= sink.claim(group, [tp for tp in partitions if topic_ids[tp] == topic_id], description=description)
    notes = {tp: CommitNote.of(commit.metadata) for tp, commit in state.commits.items() if commit is not None}
    behind = {
        tp: (stored.get(tp, 0), held)
        for tp in partitions
        if (held := _held_before(state.commits.get(tp), notes.get(tp), stored.get(tp))) > stored.get(tp, 0)
    }
    if kept is not None and known_id is None and not kept.next_offsets:
        behind = {}  # it knows the group, and keeps neither offsets nor what it was told with a claim
    other = any(note is not None and note.sink != sink_id for note in notes.values())
    return Claimed(sink_id, stored, behind, other, new_topic)


def sink_id_of(progress: SourceProgress) -> str | None:
    """Return the id of the sink that keeps a group's progress; None where an earlier version claimed."""
    ids = (_object(text).get("sink") for text in progress.descriptions.values())
    return next((str(its) for its in ids if its), None)


def _start_over(
    sink: ClaimedSink, group: str, kept: SourceProgress | None, partitions: Collection[TopicPartition]
) -> None:
    """Set stored offsets to 0, under the id of the topic that is gone: a kill before the next claim changes nothing."""
    for tp in sorted(partitions):
        sink.claim(group, [tp], description="" if kept is None else kept.descriptions[tp])
    sink.write(Batch(frames={}, offsets=dict.fromkeys(partitions, 0), source=group))


def _held_before(commit: Commit | None, note: CommitNote | None, stored: int | None) -> int:
    """Return the next offset that the sink had stored when the group last committed; 0 where nothing says so."""
    if commit is None:
        return 0
    if note is not None:
        return note.held or 0
    # Committed by another program, or an earlier version. Without a row this is a group that moves to a new sink.
    return commit.offset if stored is not None else 0


def _object(text: str) -> Mapping[str, object]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
